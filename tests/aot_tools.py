"""Compiled models on this machine, and TFLite Micro beside them, for the tests of tinyloc.aot."""

import ctypes
import subprocess
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
from tflite_micro.python.tflite_micro import runtime

from tinyloc.aot.compiler import compile_model
from tinyloc.aot.reader import read
from tinyloc.files import shipped

PEERS = Path(__file__).parent / "peers"
KERNELS = shipped("firmware") / "kernels"
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror")
SEMANTICS = ("-ffp-contract=off", "-fno-math-errno")

_scratch = tempfile.TemporaryDirectory(prefix="tinyloc-kernels-")


def gcc(*arguments: str | Path) -> None:
    command = ["gcc", *WARNINGS, *SEMANTICS, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@cache
def kernel_objects() -> list[Path]:
    """All kernels, compiled once a session: a test then compiles model.c alone."""
    objects = []
    for source in sorted(KERNELS.glob("*.c")):
        objects.append(Path(_scratch.name) / f"{source.stem}.o")
        gcc("-O2", "-fPIC", "-c", source, "-o", objects[-1])
    return objects


def build(folder: Path) -> Path:
    library = folder / "model.so"
    gcc("-O1", "-fPIC", "-shared", folder / "model.c", *kernel_objects(), "-o", library, "-lm")
    return library


# Reads inputs from standard input until it ends, writes the outputs of each to standard output.
FILTER = """
#include <stdio.h>
#include "model.h"

int main(void)
{
    tinyloc_init();
    for (;;) {
        for (unsigned i = 0; i < TINYLOC_N_INPUTS; i++)
            if (fread(tinyloc_input(i), 1, tinyloc_input_bytes[i], stdin) != tinyloc_input_bytes[i])
                return 0;
        tinyloc_run();
        for (unsigned i = 0; i < TINYLOC_N_OUTPUTS; i++)
            fwrite(tinyloc_output(i), 1, tinyloc_output_bytes[i], stdout);
    }
}
"""


def run_filter(folder: Path, data: bytes, *flags: str) -> bytes:
    """Build all that the compiler wrote, and nothing else, into a filter; what it makes of `data`."""
    (folder / "main.c").write_text(FILTER)
    gcc("-O1", "-g", *flags, *folder.glob("*.c"), "-o", folder / "filter", "-lm")
    done = subprocess.run([folder / "filter"], input=data, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


class Compiled:
    """A .tflite file compiled for the host."""

    def __init__(self, path: Path, folder: Path, fuse: bool = True):
        self.report = compile_model(path, folder, fuse=fuse)
        graph = read(path)
        tensors = graph.tensors
        self.inputs = [tensors[i] for i in graph.inputs if not tensors[i].name.startswith("state/")]
        self.outputs = [tensors[i] for i in graph.outputs if not tensors[i].name.startswith("next/")]
        self.library = ctypes.CDLL(str(build(folder)))
        self.library.tinyloc_input.restype = ctypes.c_void_p
        self.library.tinyloc_output.restype = ctypes.c_void_p
        self.library.tinyloc_init()

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        for i, (tensor, values) in enumerate(zip(self.inputs, inputs, strict=True)):
            raw = np.asarray(values, tensor.dtype).tobytes()
            assert len(raw) == tensor.bytes
            ctypes.memmove(self.library.tinyloc_input(i), raw, len(raw))
        self.library.tinyloc_run()
        return [
            np.frombuffer(ctypes.string_at(self.library.tinyloc_output(i), t.bytes), t.dtype).reshape(t.shape)
            for i, t in enumerate(self.outputs)
        ]


class Micro:
    """The same file in TFLite Micro, the oracle. The new state is given back to it by hand."""

    def __init__(self, path: Path):
        self.graph = read(path)
        self.interpreter = runtime.Interpreter.from_file(str(path), arena_size=1 << 23)
        self.state = {}

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        given = list(inputs)
        for position, index in enumerate(self.graph.inputs):
            tensor = self.graph.tensors[index]
            value = self._state(tensor) if tensor.name.startswith("state/") else given.pop(0)
            self.interpreter.set_input(np.asarray(value, tensor.dtype, order="C"), position)
        self.interpreter.invoke()
        results = []
        for position, index in enumerate(self.graph.outputs):
            tensor, value = self.graph.tensors[index], self.interpreter.get_output(position).copy()
            if tensor.name.startswith("next/"):
                self.state[tensor.name[5:]] = value
            else:
                results.append(value.reshape(tensor.shape))
        return results

    def _state(self, tensor):
        zero = tensor.zero_point if tensor.dtype == "int8" else 0
        return self.state.get(tensor.name[6:], np.full(tensor.shape, zero, tensor.dtype))


def assert_agree(ours: list[np.ndarray], theirs: list[np.ndarray], tolerance: float = 1e-5) -> None:
    """Integers equal; floats within `tolerance`, relative above 1."""
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        if a.dtype.kind == "i":
            gap = a.astype(int) - b.astype(int)
            worst = Counter(gap[gap != 0].tolist()).most_common(5)
            assert not worst, f"{np.count_nonzero(gap)} of {gap.size} differ; (difference, count): {worst}"
        else:
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
