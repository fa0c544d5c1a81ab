"""TFLite's quantisation scheme as rules: which integers stand for a tensor, and which tensors share them.

Source: "TensorFlow Lite 8-bit quantization specification" and its 16x8 counterpart; B. Jacob et al., "Quantization
and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018. A real number r is
S (q - Z). Activations are int8 with any zero point Z, or int16 with Z = 0; weights are int8 with Z = 0, one scale S
for each output channel; a bias is an integer of the scale of what it is added to.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyloc.errors import InputError
from tinyloc.export.flatbuffer import NO_TENSOR, constant, dtype, graph, operator_name, schema

Ranges = Mapping[str, tuple[float, float]]
"""Smallest and largest real value of activations, by name."""

INT8, INT16 = np.dtype(np.int8), np.dtype(np.int16)

SAME_SCALE = {
    "RESHAPE", "TRANSPOSE", "PAD", "SPLIT", "SPLIT_V", "STRIDED_SLICE", "CONCATENATION", "RELU",
}  # fmt: skip
"""Operators whose kernels move integers without a look at their scales."""

FIXED = {
    "TANH": (1 / 128, 0),
    "LOGISTIC": (1 / 256, -128),
    "SOFTMAX": (1 / 256, -128),
    "L2_NORMALIZATION": (1 / 128, 0),
}
"""Operators whose int8 output the specification gives a scale and a zero point; in int16 it is 1 / 32768 and 0."""

WEIGHT_AXIS = {"FULLY_CONNECTED": 0, "CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}
"""Operators with weights (operand 1) and a bias (operand 2): the axis of the output channels."""

_ARITHMETIC = {"ADD", "SUB", "MUL", "MEAN", "RSQRT", "BATCH_MATMUL"}
KERNELS = {
    INT8: SAME_SCALE | FIXED.keys() | WEIGHT_AXIS.keys() | _ARITHMETIC | {"ELU"},
    INT16: (SAME_SCALE | FIXED.keys() | WEIGHT_AXIS.keys() | _ARITHMETIC) - {"L2_NORMALIZATION"},
}
"""Operators that TFLite Micro runs on integers of a type, of those that the twins use."""


@dataclass(frozen=True)
class Ruler:
    """The integers of one activation: r = scale (q - zero_point)."""

    dtype: np.dtype
    scale: float  # as float32, which is what a file holds
    zero_point: int

    @classmethod
    def over(cls, low: float, high: float, integers: np.dtype) -> "Ruler":
        """The finest ruler from `low` to `high`, stretched to hold zero, which lies on a mark."""
        low, high = min(low, 0.0), max(high, 0.0)
        if integers == INT16:
            return cls(integers, float(np.float32(max(-low, high, LEAST_RANGE) / 32767)), 0)
        scale = np.float32(max(high - low, 1e-9) / 255)
        return cls(integers, float(scale), int(np.clip(np.round(-128 - low / scale), -128, 127)))

    def quantise(self, values: np.ndarray) -> np.ndarray:
        """Real numbers to integers, those beyond the ruler to its ends."""
        info = np.iinfo(self.dtype)
        return np.clip(np.round(values / self.scale) + self.zero_point, info.min, info.max).astype(self.dtype)

    def real(self, integers: np.ndarray) -> np.ndarray:
        return (integers.astype(np.float64) - self.zero_point) * self.scale


ROOM = 2
"""How far an int16 ruler reaches, in units of what calibration has seen: one of its 16 bits is well spent on people who
move in another way. Without it the clipping of single windows was the greatest error of all."""

LEAST_RANGE = 1e-3
"""Of an int16 ruler: finer ones ask the integer kernels for factors of 128 and more, which TFLite does not define.

A rectified tensor that calibration has seen at zero only, as the softplus of Mamba's time steps has one, would be so.
"""

MOST_BIAS = 2**24
"""Steps that a bias may have: a channel of zero weights would otherwise have an endless one."""


def weight_scales(weight: np.ndarray, axis: int, bias: np.ndarray | None, input_scale: float) -> np.ndarray:
    """One scale a channel along `axis` [C] float32: 127 is the channel's largest weight. Or one for all channels [1],
    if every weight is a whole multiple of it: that says the same in fewer bytes.

    bias: [C], whose scale is the weight's times `input_scale`; where it would not fit, the weight's grows.
    """
    largest = np.abs(weight).max(tuple(i for i in range(weight.ndim) if i != axis)) / 127
    for_bias = np.zeros_like(largest) if bias is None else np.abs(bias) / (input_scale * MOST_BIAS)
    scales = np.maximum(np.maximum(largest, for_bias), 1e-12).astype(np.float32)
    return scales.max(keepdims=True) if is_whole(weight) else scales


def is_whole(weight: np.ndarray) -> bool:
    """Whether all weights are whole multiples, 127 at most, of one scale: numbers that somebody wrote down, and that
    int8 keeps without an error. Trained ones never are."""
    largest = np.abs(weight).max()
    marks = 127 * weight / largest if largest else weight
    return bool(largest and np.abs(marks - np.round(marks)).max() < 1e-4)


class Scheme:
    """The activations of a float model in groups that must share a ruler.

    State `state/<x>` and its successor `next/<x>` are one group: the integers that come out go in again.
    """

    def __init__(self, model: schema.ModelT) -> None:
        self._model, self._tensors = model, graph(model).tensors
        self._group = list(range(len(self._tensors)))
        self._fixed: dict[int, str] = {}
        for operator in graph(model).operators:
            if operator_name(model, operator) in SAME_SCALE:
                self._join([*self.activations(operator.inputs), *operator.outputs])
        index = {t.name.decode(): i for i, t in enumerate(self._tensors)}
        for name, i in index.items():
            if name.startswith("state/"):
                self._join([i, index[name.replace("state/", "next/")]])
        for operator in graph(model).operators:
            self._fix(operator)

    def activations(self, indices: Iterable[int]) -> list[int]:
        """Those of the tensors that are computed (or fed), and are float."""
        return [int(t) for t in indices if t != NO_TENSOR and self._is_activation(int(t))]

    def group(self, index: int) -> int:
        """The tensor that stands for the group of tensor `index`."""
        while self._group[index] != index:
            index = self._group[index]
        return index

    @cached_property
    def groups(self) -> dict[int, list[str]]:
        """Names of the activations of every group, by the tensor that stands for it."""
        found: dict[int, list[str]] = {}
        used = {int(t) for o in graph(self._model).operators for t in (*o.inputs, *o.outputs)}
        for i in sorted(used - {NO_TENSOR}):
            if self._is_activation(i):
                found.setdefault(self.group(i), []).append(self._tensors[i].name.decode())
        return found

    def types(self, base: np.dtype, wide: frozenset[str] = frozenset()) -> dict[int, np.dtype]:
        """The integers of every activation, by tensor index.

        wide: names of activations that are int16, with all of their group, where the others are of type `base`; of the
        inputs all or none.
        Raises InputError: an operator has no kernel for its integers.
        """
        by_group = {root: INT16 if wide & set(names) else base for root, names in self.groups.items()}
        # what feeds a model writes elements of one type
        fed = {self.group(int(i)) for i in graph(self._model).inputs if not self._name(i).startswith("state/")}
        by_group |= dict.fromkeys(fed, INT16 if any(by_group[root] == INT16 for root in fed) else base)
        found = {i: by_group[self.group(i)] for i in range(len(self._tensors)) if self.group(i) in by_group}
        for operator in graph(self._model).operators:
            name, integers = operator_name(self._model, operator), found[int(operator.outputs[0])]
            if name not in KERNELS[integers]:
                raise InputError(f"{integers} export: {name} has no {integers} kernel; write the twin without it")
        return found

    def ruler(self, index: int, ranges: Ranges, integers: np.dtype) -> Ruler:
        """The ruler of activation `index`, if it is of the type `integers`.

        ranges: smallest and largest value by name; a group has the widest of its members'.
        Raises InputError: `ranges` lack a tensor of the group.
        """
        root = self.group(index)
        if root in self._fixed:
            scale, zero_point = FIXED[self._fixed[root]] if integers == INT8 else (1 / 32768, 0)
            return Ruler(integers, scale, zero_point)
        names = self.groups[root]
        if missing := [n for n in names if n not in ranges]:
            raise InputError(f"no range of tensor {missing[0]!r}; calibrate the very model that is quantised")
        low, high = zip(*(ranges[n] for n in names), strict=True)
        room = ROOM if integers == INT16 else 1
        return Ruler.over(room * min(low), room * max(high), integers)

    def _name(self, index: int) -> str:
        return self._tensors[index].name.decode()

    def _is_activation(self, index: int) -> bool:
        tensor = self._tensors[index]
        return dtype(tensor) == np.float32 and constant(self._model, tensor) is None

    def _join(self, indices: Iterable[int]) -> None:
        first, *rest = (self.group(int(i)) for i in indices)
        for i in rest:
            self._group[self.group(i)] = first

    def _fix(self, operator: schema.OperatorT) -> None:
        name = operator_name(self._model, operator)
        if name not in FIXED:
            return
        root = self.group(int(operator.outputs[0]))
        if FIXED[self._fixed.setdefault(root, name)] != FIXED[name]:
            raise InputError(f"{name} and {self._fixed[root]} flow into one tensor, but their scales differ")
