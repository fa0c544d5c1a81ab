"""TFLite Micro, the reference runtime: the official interpreter and kernels, built for this machine.

Everything the project says of an exported model is measured here, and everything it compiles is compared with this.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tflite_micro.python.tflite_micro import runtime

from tinyloc.errors import InputError
from tinyloc.export import flatbuffer
from tinyloc.export.native import native_stderr

STATE, NEXT = "state/", "next/"


@dataclass(frozen=True)
class Port:
    """An input or output tensor of a model."""

    index: int  # among the inputs, or among the outputs
    shape: tuple[int, ...]
    dtype: np.dtype
    scale: float | None  # None: not quantised
    zero_point: int

    @property
    def record(self) -> tuple[int, ...]:
        """The shape of one record: that of the tensor without its batch axis of 1."""
        return self.shape[1:] if self.shape[:1] == (1,) else self.shape

    def same_numbers(self, other: "Port") -> bool:
        """Whether what comes out of the one can go into the other as it is."""
        return (self.dtype, self.scale, self.zero_point) == (other.dtype, other.scale, other.zero_point)

    def quantise(self, values: np.ndarray) -> np.ndarray:
        """Real numbers to the tensor's own type, clipped to its range."""
        if self.scale is None:
            return values.astype(self.dtype)
        info = np.iinfo(self.dtype)
        steps = np.round(np.asarray(values, np.float64) / self.scale) + self.zero_point
        return np.clip(steps, info.min, info.max).astype(self.dtype)

    def dequantise(self, values: np.ndarray) -> np.ndarray:
        """The tensor's own type to float32."""
        if self.scale is None:
            return values.astype(np.float32)
        return (values.astype(np.float32) - self.zero_point) * np.float32(self.scale)


class Tflm:
    """One model in the interpreter. `state/<x>` inputs take the `next/<x>` outputs of the inference before."""

    def __init__(self, path: Path, load: Callable[[Path], runtime.Interpreter] | None = None) -> None:
        """load: another interpreter with TFLite Micro's calls, see `export.desktop`.

        Raises InputError: `path` is missing or corrupt, or TFLite Micro does not take the model.
        """
        model = flatbuffer.read(path)
        self.path = path
        self._interpreter = (load or interpreter)(path)
        tensors, graph = flatbuffer.graph(model).tensors, flatbuffer.graph(model)
        self.inputs = {_name(tensors[t]): _port(i, tensors[t]) for i, t in enumerate(graph.inputs)}
        self.outputs = {_name(tensors[t]): _port(i, tensors[t]) for i, t in enumerate(graph.outputs)}
        self._states = [name.removeprefix(STATE) for name in self.inputs if name.startswith(STATE)]
        for state in self._states:
            if NEXT + state not in self.outputs:
                raise InputError(f"{path}: input {STATE}{state} has no output {NEXT}{state}; export the model again")
            if not self.inputs[STATE + state].same_numbers(self.outputs[NEXT + state]):
                raise InputError(f"{path}: {STATE}{state} and {NEXT}{state} differ in type or scale; export it again")

    def run(self, records: Mapping[str, np.ndarray], reset: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """N inferences, one after the other, in the tensors' own types.

        records: by input name, [N, ...] with the shape of the tensor after its batch axis of 1.
        reset: [N] bool, the state is zeroed before these inferences, and before the first in any case.
        Returns every output but the states by name, [N, ...].
        Raises InputError: the model has other inputs than those given.
        """
        wanted = {name for name in self.inputs if not name.startswith(STATE)}
        if set(records) != wanted:
            raise InputError(f"{self.path}: inputs are {sorted(wanted)}, not {sorted(records)}")
        n = len(next(iter(records.values())))
        reset = np.zeros(n, bool) if reset is None else reset
        shown = [name for name in self.outputs if not name.startswith(NEXT)]
        results = {name: np.empty((n, *self.outputs[name].record), self.outputs[name].dtype) for name in shown}
        state: dict[str, np.ndarray] = {}
        for row in range(n):
            if row == 0 or reset[row]:
                state = {name: self._initial(name) for name in self._states}
            for name in wanted:
                self._set(name, records[name][row])
            for name in self._states:
                self._set(STATE + name, state[name])
            self._interpreter.invoke()
            state = {name: self._get(NEXT + name) for name in self._states}
            for name in shown:
                results[name][row] = self._get(name).reshape(self.outputs[name].record)
        return results

    def quantise(self, records: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Real inputs by name, in the tensors' own types."""
        return {name: self.inputs[name].quantise(values) for name, values in records.items()}

    def dequantise(self, results: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs of `run` by name, as float32."""
        return {name: self.outputs[name].dequantise(values) for name, values in results.items()}

    def _initial(self, state: str) -> np.ndarray:
        port = self.inputs[STATE + state]
        return np.full(port.shape, port.zero_point, port.dtype)

    def _set(self, name: str, values: np.ndarray) -> None:
        port = self.inputs[name]
        self._interpreter.set_input(np.asarray(values, port.dtype).reshape(port.shape), port.index)

    def _get(self, name: str) -> np.ndarray:
        return self._interpreter.get_output(self.outputs[name].index)


def interpreter(path: Path, arena: int | None = None) -> runtime.Interpreter:
    """An interpreter of a model that `flatbuffer.read` has found sound.

    arena: bytes; by default so many that no model of this project lacks memory. With too few, TFLite Micro may
    crash the process: `export.arena` is the way to find out how many are enough.
    Raises InputError: TFLite Micro does not take the model, with its reason.
    """
    data = path.read_bytes()
    with native_stderr() as said:
        try:
            return runtime.Interpreter.from_bytes(data, arena_size=arena or 10 * len(data) + (1 << 22))
        except RuntimeError as error:
            problem = str(error)
    reason = " ".join("".join(said).split()) or problem
    raise InputError(f"{path}: TFLite Micro does not take this model: {reason}")


def _name(tensor: flatbuffer.schema.TensorT) -> str:
    return tensor.name.decode()


def _port(index: int, tensor: flatbuffer.schema.TensorT) -> Port:
    quantised = tensor.quantization is not None and tensor.quantization.scale is not None
    return Port(
        index=index,
        shape=tuple(int(n) for n in tensor.shape),
        dtype=flatbuffer.dtype(tensor),
        scale=float(tensor.quantization.scale[0]) if quantised else None,
        zero_point=int(tensor.quantization.zeroPoint[0]) if quantised else 0,
    )
