"""The compiled models on the boards, beside TFLite Micro with CMSIS-NN: instructions, code, memory, and the answers."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import Table
from tinyloc.aot import reader
from tinyloc.aot.compiler import compile_model
from tinyloc.device import memory, qemu, windows
from tinyloc.export.tflm import Tflm

MODELS = Path(__file__).parents[1] / "tests" / "peers"
RAM = 64 * 1024
WINDOWS = 50  # of random full-range inputs, where no inputs are stored beside the model
FLOAT_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Budget:
    """What TFLite Micro takes, and what ours may take at most. None: not given."""

    model: str  # a .tflite of tests/peers
    board: str
    tflm: int  # instructions, tests/peers/peers.json and shared measurements of upstream's build
    instructions: int
    code: int | None = None  # bytes of flash but the model's own
    ram: int | None = None  # bytes, stack included


BUDGETS = (
    Budget("attn_i8", "mps2-an386", 1_808_761, 600_000, 12_000, 6_000),
    Budget("cnn_i8", "mps2-an386", 475_979, 300_000, 8_000, 4_000),
    Budget("mlp_i8", "mps2-an386", 38_553, 25_000, 4_000, 1_200),
    Budget("attn_i8", "mps3-an547", 1_204_405, 400_000),
    Budget("mdcsa_d16_int8", "mps2-an386", 10_670_755, 3_000_000, 16_384, 14_336),
    Budget("mamba_d16_float32", "mps2-an386", 136_963, 35_000, 10_240, 3_072),
)


def run() -> Table:
    return Table(
        "Compiled models in QEMU, one inference",
        "Instructions are exact counts, not cycles. Code is flash without the model; RAM is arena, state and used "
        "stack. Ratio: the smallest of allowed / measured. Same answers: as the tflite-micro wheel, bit for bit "
        f"(int8) or within {FLOAT_TOLERANCE:g} (float32).",
        list(rows(BUDGETS)),
    )


def rows(budgets: tuple[Budget, ...]) -> Iterator[dict]:
    for budget in budgets:
        measured = measure(MODELS / f"{budget.model}.tflite", budget.board)
        allowed = {"instructions": budget.instructions, "code": budget.code, "RAM": budget.ram}
        ratio = min(limit / measured[what] for what, limit in allowed.items() if limit is not None)
        yield {
            "what": f"{budget.model}, {budget.board}",
            "TFLite Micro": budget.tflm,
            **measured,
            "ratio": round(ratio, 3) if measured["same answers"] == "yes" else 0.0,
            "at least": 1.0,
        }


def measure(model: Path, board: str) -> dict[str, int | str]:
    """Median instructions of an inference, bytes of code and RAM, and whether all answers are TFLite Micro's."""
    graph = reader.read(model)
    records = _records(model, graph)
    flat = np.concatenate([records[t.name].reshape(len(records[t.name]), -1).view(np.uint8)
                           for t in windows.inputs(graph)], axis=1)  # fmt: skip
    reset = np.zeros(len(flat), bool)
    with tempfile.TemporaryDirectory() as name:
        compile_model(model, Path(name) / "aot")
        built = qemu.build(Path(name) / "aot", board, RAM, Path(name) / board)
        result = qemu.run(built, flat, reset)
        flash, ram = memory.flash(built), memory.ram(built, result.stack_high_water)
    return {
        "instructions": int(np.median(result.instructions)),
        "code": flash["total"] - flash["model"],
        "RAM": ram["total"],
        "same answers": "yes" if _same(graph, windows.split(graph, result.outputs), Tflm(model).run(records)) else "no",
    }


def _records(model: Path, graph: reader.Graph) -> dict[str, np.ndarray]:
    """By input name [N, *shape without its batch], in the tensor's own type: those stored, or random ones."""
    tensors, stored = windows.inputs(graph), model.with_suffix(".in")
    if stored.is_file():
        return {tensors[0].name: np.fromfile(stored, np.int8).reshape(-1, *tensors[0].shape[1:])}
    random = np.random.default_rng(0)
    return {
        t.name: random.integers(-128, 128, (WINDOWS, *t.shape[1:])).astype(np.int8)
        if t.dtype == "int8"
        else random.uniform(0, 1, (WINDOWS, *t.shape[1:])).astype(np.float32)
        for t in tensors
    }


def _same(graph: reader.Graph, ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> bool:
    shaped = {t.name: theirs[t.name].reshape(ours[t.name].shape) for t in windows.outputs(graph)}
    found = windows.difference(graph, ours, shaped)
    floats = any(t.dtype == "float32" for t in windows.outputs(graph))
    return found["max_abs_difference"] <= FLOAT_TOLERANCE if floats else found["bit_identical"]
