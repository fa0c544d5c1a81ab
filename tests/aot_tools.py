"""Compiled models on this machine, and TFLite Micro beside them, for the tests of tinyloc.aot."""

import ctypes
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np

from tinyloc.aot.compiler import compile_model
from tinyloc.aot.reader import read

PEERS = Path(__file__).parent / "peers"
WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
FLOAT = ["-ffp-contract=off", "-fno-math-errno"]


def build(folder: Path, *flags: str) -> Path:
    """The compiled model in `folder` as a shared object of the host."""
    library = folder / "model.so"
    sources = sorted(map(str, folder.glob("*.c")))
    command = ["gcc", *WARNINGS, *FLOAT, "-O2", "-fPIC", "-shared", *flags, *sources, "-o", str(library), "-lm"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return library


class Compiled:
    """A .tflite file compiled for the host."""

    def __init__(self, path: Path, folder: Path):
        self.report = compile_model(path, folder)
        self.graph = read(path)
        self.library = ctypes.CDLL(str(build(folder)))
        self.library.tinyloc_input.restype = ctypes.c_void_p
        self.library.tinyloc_output.restype = ctypes.c_void_p
        tensors = self.graph.tensors
        self.inputs = [tensors[i] for i in self.graph.inputs if not tensors[i].name.startswith("state/")]
        self.outputs = [tensors[i] for i in self.graph.outputs if not tensors[i].name.startswith("next/")]
        self.library.tinyloc_init()

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        for i, (tensor, values) in enumerate(zip(self.inputs, inputs, strict=True)):
            raw = np.ascontiguousarray(values, tensor.dtype).tobytes()
            assert len(raw) == tensor.bytes
            ctypes.memmove(self.library.tinyloc_input(i), raw, len(raw))
        self.library.tinyloc_run()
        return [
            np.frombuffer(ctypes.string_at(self.library.tinyloc_output(i), t.bytes), t.dtype).reshape(t.shape)
            for i, t in enumerate(self.outputs)
        ]


class Micro:
    """The same file in TFLite Micro, the oracle. State outputs are fed back by hand."""

    def __init__(self, path: Path):
        from tflite_micro.python.tflite_micro import runtime

        self.graph = read(path)
        self.interpreter = runtime.Interpreter.from_file(str(path), arena_size=1 << 21)
        self.state = {}

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        given = list(inputs)
        for position, index in enumerate(self.graph.inputs):
            tensor = self.graph.tensors[index]
            if tensor.name.startswith("state/"):
                zero = np.full(tensor.shape, tensor.zero_point if tensor.dtype == "int8" else 0, tensor.dtype)
                self.interpreter.set_input(self.state.get(tensor.name[6:], zero), position)
            else:
                self.interpreter.set_input(np.ascontiguousarray(given.pop(0), tensor.dtype), position)
        self.interpreter.invoke()
        results = []
        for position, index in enumerate(self.graph.outputs):
            tensor, value = self.graph.tensors[index], self.interpreter.get_output(position).copy()
            if tensor.name.startswith("next/"):
                self.state[tensor.name[5:]] = value
            else:
                results.append(value.reshape(tensor.shape))
        return results


def differences(a: np.ndarray, b: np.ndarray) -> str:
    """Where integer results differ, for the message of a failed assertion."""
    gap = a.astype(int) - b.astype(int)
    return f"{np.count_nonzero(gap)} of {gap.size} differ: {Counter(gap[gap != 0].tolist()).most_common(5)}"
