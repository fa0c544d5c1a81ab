"""The memory that a model needs in TFLite Micro, by bisection.

An interpreter with too small an arena does not always refuse: it may crash the process. So the trials run in forks of
a process of their own, which has loaded nothing but TFLite Micro.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tinyloc.errors import InputError
from tinyloc.export import flatbuffer
from tinyloc.export.native import native_stderr
from tinyloc.export.tflm import interpreter

STEP = 16  # bytes; TFLite Micro aligns to this


@dataclass(frozen=True)
class Arena:
    """Bytes that TFLite Micro needs for a model, in its 64-bit build (a pointer there is twice a Cortex-M's)."""

    needed: int  # the smallest arena in which the model runs, a multiple of `STEP`
    reported: int  # what the interpreter says it holds: less, as it leaves out what it needs while it starts


def measure(path: Path) -> Arena:
    """Measure the model at `path`.

    Raises InputError: `path` is missing or corrupt, or TFLite Micro does not take the model.
    """
    flatbuffer.read(path)
    command = [sys.executable, "-m", "tinyloc.export.arena", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise InputError(done.stderr.strip().splitlines()[-1])
    return Arena(**json.loads(done.stdout))


def _search(path: Path) -> Arena:
    reported = _reported(path)
    wanted = _outputs(path)
    # It may lie anywhere below the reported size, and one model was seen to need 1 KB more than that.
    too_small, enough = 0, reported // STEP * STEP
    while not _runs_in(path, enough, wanted):
        too_small, enough = enough, enough + reported // STEP * STEP
    while enough - too_small > STEP:
        middle = (too_small + enough) // 2 // STEP * STEP
        if _runs_in(path, middle, wanted):
            enough = middle
        else:
            too_small = middle
    return Arena(needed=enough, reported=reported)


def _reported(path: Path) -> int:
    with native_stderr() as said:
        interpreter(path).print_allocations()
    return int(re.search(r"Arena allocation total (\d+) bytes", "".join(said)).group(1))


def _runs_in(path: Path, arena: int, wanted: list[bytes]) -> bool:
    """Whether a fork with `arena` bytes ends alive and with the outputs that plenty of memory gives."""
    child = os.fork()
    if child == 0:
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        alive = False
        try:
            alive = _outputs(path, arena) == wanted
        finally:
            os._exit(0 if alive else 1)
    return os.waitpid(child, 0)[1] == 0


def _outputs(path: Path, arena: int | None = None) -> list[bytes]:
    """Outputs of one inference on inputs of ones."""
    graph = flatbuffer.graph(flatbuffer.read(path))
    run = interpreter(path, arena)
    for index, tensor in enumerate(graph.inputs):
        run.set_input(np.ones(graph.tensors[tensor].shape, flatbuffer.dtype(graph.tensors[tensor])), index)
    run.invoke()
    return [run.get_output(index).tobytes() for index in range(len(graph.outputs))]


if __name__ == "__main__":
    try:
        print(json.dumps(asdict(_search(Path(sys.argv[1])))))
    except InputError as error:
        sys.exit(str(error))
