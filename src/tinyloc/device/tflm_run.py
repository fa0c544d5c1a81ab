"""One model over many windows on TFLite Micro: what `tinyloc run --runtime tflm` does.

The answer is that of `device.runner.run_model`, so that the two runtimes lie side by side; sizes are in bytes.
"""

import tempfile
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from tinyloc.aot import reader
from tinyloc.aot.graph import Graph
from tinyloc.device import (
    boards,
    host,
    memory,
    mix,
    profile,
    qemu,
    tflm_build,
    tflm_library,
    tflm_sources,
    toolchain,
    windows,
)
from tinyloc.device.emitted import Emitted
from tinyloc.device.tflm_library import HOST, Library
from tinyloc.device.windows import Windows

PARTS = ("activations", "persistent", "tensors", "operators", "buffers", "variables")
"""Of the arena: activations + persistent is all, and the others are the parts of `persistent` that have a name."""


def run_model(
    tflite: Path,
    windows_path: Path,
    board: str,
    ram: int,
    workdir: Path | None = None,
    stack: int = qemu.STACK_BYTES,
    outputs: Path | None = None,
) -> dict:
    """Run every window of an .npz on TFLite Micro, linked from TFLM_DIR, on a board in QEMU or on this machine.

    board: of `boards.BOARDS`, or "host". ram: on a board the RAM of the device, of which the library has for its arena
    what stack and static data leave; on the host the arena. The others are those of `runner.run_model`.

    Returns what `runner.run_model` returns, with these differences:
    `ram.arena` is what the library says it uses of the memory it was given. `arena` has PARTS, recorded in a run of its
    own whose allocator needs more. `steps` are the operators, each with the interpreter's work after it, or nothing if
    the library was built without announcing them. `host` compares with the `tflite-micro` wheel of this machine. On the
    host `flash`, `instructions` and `mix` are None, and `ram` has the arena alone, of a 64-bit build.

    Raises InputError: see `tflm_library.find`, `windows.read`, `reader.read`, `tflm_sources.emit`, `tflm_build.board`;
    DeviceError: the interpreter refuses the model, as for an arena that is too small, with its own reason.
    """
    core = HOST if board == HOST else boards.find(board, ram).core.lower()
    library = tflm_library.find(core)
    graph = reader.read(tflite)
    given = windows.read(windows_path, graph)
    kept = tempfile.TemporaryDirectory() if workdir is None else nullcontext(workdir)
    with kept as name:
        folder = Path(name)
        emitted = tflm_sources.emit(tflite, graph, folder / "tflm")
        if board == HOST:
            measured, rows = _here(emitted, library, folder, ram, given)
        else:
            measured, rows = _on_board(graph, emitted, library, folder, board, ram, stack, given)
    answers = windows.split(graph, rows)
    if outputs is not None:
        windows.write(outputs, answers)
    reference = windows.difference(graph, answers, given.expected) if given.expected else None
    return {
        "runtime": "tflm",
        "board": board,
        "ram_limit": ram,
        **measured,
        "windows": len(given.records),
        **(reference or {"bit_identical": None, "max_abs_difference": None}),
        "host": windows.difference(graph, answers, _wheel(tflite, graph, given)),
        "reference": reference,
    }


def _on_board(
    graph: Graph, emitted: Emitted, library: Library, folder: Path, board: str, ram: int, stack: int, given: Windows
) -> tuple[dict, np.ndarray]:
    toolchain.require(toolchain.QEMU)
    built = tflm_build.board(emitted, library, board, ram, folder / board, stack)
    result = qemu.run(built, given.records, given.reset)
    rows, arena = tflm_sources.take_apart(result.outputs)
    ram_parts = memory.ram(built, result.stack_high_water)
    ram_parts |= {"arena": arena["used"], "total": ram_parts["total"] + arena["used"]}
    steps, parts = _profile(graph, emitted, library, folder, board, stack, given)
    measured = {
        "core": built.board.core,
        "flash": memory.flash(built),
        "ram": ram_parts,
        "arena": parts,
        "instructions": profile.summary(result.instructions),
        "steps": steps,
        "mix": mix.mix(built, given.records[0]),
    }
    return measured, rows


def _profile(
    graph: Graph, emitted: Emitted, library: Library, folder: Path, board: str, stack: int, given: Windows
) -> tuple[list[dict], dict[str, int]]:
    """A row for every operator, and the parts of the arena. The board has all its RAM here: recording takes some."""
    ram = boards.BOARDS[board].ram_bytes
    built = tflm_build.board(emitted, library, board, ram, folder / f"{board}-profile", stack, profile=True)
    first = slice(profile.WINDOWS)
    result = qemu.run(built, given.records[first], given.reset[first])
    _, arena = tflm_sources.take_apart(result.outputs)
    parts = {name: arena[name] for name in PARTS}
    if arena["events"] != len(graph.operators):
        return [], parts
    rows = [
        {
            "operators": [operator.index],
            "name": operator.name,
            "kernel": "TFLite Micro",
            "output": graph.tensors[operator.outputs[0]].name,
            "macs": None,
            "instructions": profile.summary(column),
        }
        for operator, column in zip(graph.operators, result.steps.T, strict=True)
    ]
    return rows, parts


def _here(emitted: Emitted, library: Library, folder: Path, ram: int, given: Windows) -> tuple[dict, np.ndarray]:
    built = tflm_build.here(emitted, library, folder / HOST, arena=ram)
    rows, arena = tflm_sources.take_apart(host.run(built, given.records, given.reset).outputs)
    recording = tflm_build.here(emitted, library, folder / f"{HOST}-recording", record=True)
    _, recorded = tflm_sources.take_apart(host.run(recording, given.records[:1], given.reset[:1]).outputs)
    measured = {
        "core": "this machine",
        "flash": None,
        "ram": {"arena": arena["used"]},
        "arena": {name: recorded[name] for name in PARTS},
        "instructions": None,
        "steps": [],
        "mix": None,
    }
    return measured, rows


def _wheel(tflite: Path, graph: Graph, given: Windows) -> dict[str, np.ndarray]:
    """Outputs by name, [N, *shape], of TFLite Micro as the wheel of this machine has it."""
    from tinyloc.export.tflm import Tflm

    results = Tflm(tflite).run(windows.columns(windows.inputs(graph), given.records), given.reset)
    return {t.name: results[t.name].reshape(-1, *t.shape) for t in windows.outputs(graph)}
