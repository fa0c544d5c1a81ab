"""A model compiled operator by operator, on a board: what fusing is compared with."""

import tempfile
from pathlib import Path

from tinyloc.aot import reader
from tinyloc.aot.compiler import compile_model
from tinyloc.device import boards, profile, qemu, windows


def measure(tflite: Path, windows_path: Path, board: str) -> dict:
    """The model without fusions, over the first windows of an .npz (`windows.read`), with all RAM of the board.

    Padding, transposes and joins that a neighbour reads or writes in its own way are no calls here either.
    Returns `arena` (bytes) and `steps`, as `profile.profile` gives them. Raises what `runner.run_model` raises.
    """
    given = windows.read(windows_path, reader.read(tflite))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report = compile_model(tflite, folder / "aot", fuse=False)
        ram = boards.BOARDS[board].ram_bytes
        steps = profile.profile(folder / "aot", report, board, ram, folder / board, qemu.STACK_BYTES, given)
    return {"arena": report.arena_bytes, "steps": steps}
