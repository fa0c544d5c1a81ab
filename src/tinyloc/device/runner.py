"""One model over many windows on a board in QEMU and on the host, compared: what `tinyloc run` does."""

import tempfile
from contextlib import nullcontext
from pathlib import Path

from tinyloc.aot import reader
from tinyloc.aot.compiler import compile_model
from tinyloc.device import boards, host, memory, mix, profile, qemu, toolchain, windows


def run_model(
    tflite: Path,
    windows_path: Path,
    board: str,
    ram: int,
    workdir: Path | None = None,
    stack: int = qemu.STACK_BYTES,
    outputs: Path | None = None,
) -> dict:
    """Compile a `.tflite`, build it for the board and for the host, and run every window on both.

    windows_path: an .npz, see `windows.read`. ram: bytes of RAM that the device has. workdir: where the C sources,
    the ELF and the compiler's report stay; by default they are removed. stack: bytes of the RAM kept for the stack.
    outputs: an .npz for what the board answered, an array [N, ...] in its own type for every output.

    Returns what `device-<board>.json` holds, all sizes in bytes (`device.tflm_run` gives the same of TFLite Micro):
    `flash` and `ram` as `memory.flash` and `memory.ram` give them, `instructions` of an inference {min, median, max},
    `steps` where they go, see `profile.profile` (counted in a run of its own, which does not disturb the others),
    `mix` what kinds of instructions they are, in the first window, see `mix.mix`,
    `windows`, `host` and `reference`: how far the board is from the host and from the outputs that the .npz
    expects (None without such), each {bit_identical, max_abs_difference}; `bit_identical` and `max_abs_difference`
    of the reference once more.

    Raises InputError: see `windows.read`, `reader.read`, `compile_model`, `qemu.build` and `qemu.run`.
    """
    boards.find(board, ram)
    toolchain.require(toolchain.CROSS_GCC, toolchain.QEMU, toolchain.HOST_GCC)
    graph = reader.read(tflite)
    given = windows.read(windows_path, graph)
    kept = tempfile.TemporaryDirectory() if workdir is None else nullcontext(workdir)
    with kept as name:
        folder = Path(name)
        compiled = compile_model(tflite, folder / "aot", ram=ram)
        built = qemu.build(folder / "aot", board, ram, folder / board, stack)
        on_board = qemu.run(built, given.records, given.reset)
        on_host = host.run(host.build(folder / "aot", folder / "host"), given.records, given.reset)
        steps = profile.profile(folder / "aot", compiled, board, ram, folder / f"{board}-profile", stack, given)
        answers = windows.split(graph, on_board.outputs)
        if outputs is not None:
            windows.write(outputs, answers)
        agreement = {
            "host": windows.difference(graph, answers, windows.split(graph, on_host.outputs)),
            "reference": windows.difference(graph, answers, given.expected) if given.expected else None,
        }
        return {
            "runtime": "compiled",
            "board": board,
            "core": built.board.core,
            "ram_limit": ram,
            "flash": memory.flash(built),
            "ram": memory.ram(built, on_board.stack_high_water),
            "instructions": profile.summary(on_board.instructions),
            "steps": steps,
            "mix": mix.mix(built, given.records[0]),
            "windows": len(given.records),
            **(agreement["reference"] or {"bit_identical": None, "max_abs_difference": None}),
            **agreement,
        }
