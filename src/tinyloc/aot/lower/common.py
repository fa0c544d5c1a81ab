"""What the lowerings share: access to an operator's tensors, with checks, and parameters of kernels."""

import math
from collections.abc import Sequence
from math import prod

import numpy as np

from tinyloc.aot.graph import Operator, Tensor, Unsupported
from tinyloc.aot.program import Access, Constant, Operand, Program
from tinyloc.aot.quantise import INT8_MAX, INT8_MIN, channel_row, quantize_multiplier, wide_row

SUFFIX = {"int8": "s8", "int16": "s16", "float32": "f32"}
C_TYPE = {"int8": "int8_t", "int16": "int16_t", "uint16": "uint16_t", "float32": "float", "int32": "int32_t"}


class Context:
    """One operator being lowered."""

    def __init__(self, program: Program, operator: Operator):
        self.program = program
        self.operator = operator
        self.options = operator.options

    def refuse(self, why: str) -> Unsupported:
        operator = self.operator
        return Unsupported(
            f"operator {operator.index} ({operator.name}, version {operator.version}), "
            f"which makes tensor {self.output}: {why}"
        )

    def need(self, condition: bool, why: str) -> None:
        if not condition:
            raise self.refuse(why)

    def input(self, position: int) -> Tensor:
        tensor = self.optional(position)
        self.need(tensor is not None, f"its input {position} is missing")
        return tensor

    def optional(self, position: int) -> Tensor | None:
        inputs = self.operator.inputs
        if position >= len(inputs) or inputs[position] is None:
            return None
        return self.program.tensors[inputs[position]]

    @property
    def output(self) -> Tensor:
        return self.program.tensors[self.operator.outputs[0]]

    @property
    def outputs(self) -> list[Tensor]:
        return [self.program.tensors[index] for index in self.operator.outputs]

    def constant(self, position: int, dtype: str | None = None) -> np.ndarray:
        """The values of an input that must be known at compile time."""
        tensor = self.input(position)
        self.need(tensor.data is not None, f"its input {tensor} is not a constant")
        self.need(dtype in (None, tensor.dtype), f"its input {tensor} is not {dtype}")
        return tensor.data

    def integers(self, position: int) -> list[int]:
        """A constant list of indices, sizes or axes."""
        values = self.constant(position)
        self.need(values.dtype in (np.int32, np.int64), f"its input {self.input(position)} does not hold integers")
        return [int(v) for v in values.reshape(-1)]

    def axis(self, value: int, rank: int) -> int:
        self.need(-rank <= value < rank, f"axis {value} does not exist in {rank} dimensions")
        return value % rank

    def kind(self, *tensors: Tensor, wide: bool = False) -> str:
        """The kernel suffix ("s8", "f32") of tensors that must share one element type, with one scale if integer.

        wide: there is a kernel for int16 ("s16") too.
        """
        dtypes = sorted({tensor.dtype for tensor in tensors})
        known = len(dtypes) == 1 and dtypes[0] in SUFFIX and (wide or dtypes[0] != "int16")
        self.need(known, f"there is no kernel for {' and '.join(dtypes)}")
        for tensor in tensors:
            if tensor.dtype != "float32":
                self.one_scale(tensor)
        return SUFFIX[dtypes[0]]

    def one_scale(self, tensor: Tensor) -> None:
        quantisation = tensor.quantisation
        self.need(quantisation is not None, f"{tensor} has no scale")
        self.need(quantisation.scale.size == 1, f"{tensor} has more than one scale")
        self.need(tensor.dtype != "int16" or tensor.zero_point == 0, f"{tensor} has a zero point")

    def same_quantisation(self, a: Tensor, b: Tensor) -> None:
        same = a.scale == b.scale and a.zero_point == b.zero_point
        self.need(same, f"{a} and {b} differ in quantisation")

    def shape(self, tensor: Tensor, expected: Sequence[int]) -> None:
        self.need(tensor.shape == tuple(expected), f"{tensor} should have the shape {list(expected)}")

    def same_size(self, a: Tensor, b: Tensor) -> None:
        self.need(a.size == b.size, f"{a} and {b} differ in size")


def channels(reals: Sequence[float], zero: int, biases: Sequence[int], largest: Sequence[int]) -> Constant:
    """One struct tl_channel for each bias. reals: a factor each, or one for all; largest: bounds of the sums.

    If one needs the kernels' general form, all take it: the kernels ask once for all channels.
    """
    factors = [quantize_multiplier(real) for real in reals] * (len(biases) // len(reals))
    rows = [channel_row(f, zero, b, n) for f, b, n in zip(factors, biases, largest, strict=True)]
    if any(row[-1] for row in rows):
        rows = [(*row[:-1], 1) for row in rows]
    return Constant("struct tl_channel", np.array(rows, np.int64))


def wide_channels(reals: Sequence[float], biases: Sequence[int]) -> Constant:
    """One struct tl_wide_channel for each bias. reals: a factor each, or one for all."""
    each = list(reals) * (len(biases) // len(reals))
    return Constant(
        "struct tl_wide_channel", np.array([wide_row(*pair) for pair in zip(each, map(int, biases), strict=True)])
    )


def units(depth: int, count: int, rows: Constant, low: int = INT8_MIN, high: int = INT8_MAX) -> tuple:
    """The fields of a struct tl_units."""
    clamped = int((low, high) != (INT8_MIN, INT8_MAX))
    return (count, depth, rows, int(len(rows.values) > 1), clamped, low, high, 0)


GROUP = 4  # weights in a word


def pack_units(weights: np.ndarray) -> Constant:
    """weights [units, depth] int8 as tl_units_s8 wants them: words [ceil(units / 2), groups, 2 units], zeros added."""
    count, depth = weights.shape
    filled = np.pad(weights, ((0, count % 2), (0, -depth % GROUP)))
    pairs = filled.reshape(-1, 2, filled.shape[1] // GROUP, GROUP).transpose(0, 2, 1, 3)
    return Constant("uint32_t", np.ascontiguousarray(pairs).view("<u4").reshape(-1))


WIDE_GROUP = 4  # units of int8 weights for int16 rows that lie beside one another


def pack_wide_units(weights: np.ndarray) -> Constant:
    """weights [units, depth] int8 as tl_units_s16 wants them: words [ceil(units / 4), groups, 4 units], zeros added."""
    count, depth = weights.shape
    filled = np.pad(weights, ((0, -count % WIDE_GROUP), (0, -depth % GROUP)))
    groups = filled.reshape(-1, WIDE_GROUP, filled.shape[1] // GROUP, GROUP).transpose(0, 2, 1, 3)
    return Constant("uint32_t", np.ascontiguousarray(groups[..., [0, 2, 1, 3]]).view("<u4").reshape(-1))


def joined(parts: Sequence[Constant]) -> Constant:
    return Constant(parts[0].ctype, np.concatenate([part.values for part in parts]))


def packed_bytes(count: int, depth: int) -> int:
    """Bytes of the words that pack_units makes."""
    return (count + count % 2) * (depth + -depth % GROUP)


def widened(rows: int, depth: int) -> int:
    """Bytes of so many widened rows, at most two, that tl_units_s8 takes at once."""
    return min(rows, 2) * 2 * (depth + -depth % GROUP)


def array(values: np.ndarray) -> Constant:
    return Constant(C_TYPE[values.dtype.name], values.reshape(-1))


def call_table(c: Context, table: np.ndarray, source: Tensor) -> None:
    """output = table[source + 128]"""
    parameters = {"count": source.size, "table": array(table)}
    c.program.call(c.operator, "table_s8", parameters, (source.index,), c.output.index, in_place=(0,))


def dense_strides(shape: Sequence[int]) -> list[int]:
    """Elements between neighbours along each axis of a row-major tensor."""
    return [prod(shape[i + 1 :]) for i in range(len(shape))]


def collapse(dims: Sequence[int], *strides: Sequence[int]) -> tuple[list[int], list[list[int]]]:
    """The same nest of loops over `dims` with as few loops as possible.

    Loops of length 1 go; two neighbours become one where, for every operand, the outer step is the inner step times
    the inner length. Returns (dims, strides of each operand).
    """
    loops: list[tuple[int, tuple[int, ...]]] = []
    for n, steps in zip(dims, zip(*strides, strict=True), strict=True):
        if n == 1:
            continue
        if loops and all(outer == inner * n for outer, inner in zip(loops[-1][1], steps, strict=True)):
            loops[-1] = (loops[-1][0] * n, steps)
        else:
            loops.append((n, steps))
    return [n for n, _ in loops], [[steps[k] for _, steps in loops] for k in range(len(strides))]


def access(program: Program, tensor: Tensor) -> Access:
    """Where the elements of `tensor` lie, looking through views and copies."""
    for index in program.same_elements(tensor.index):
        if index in program.moved:
            found = program.moved[index]
            steps = regrouped(found.shape, found.steps, tensor.shape)
            if steps is not None:
                return Access(found.origin, tensor.shape, steps)
    return Access(Operand(tensor.index), tensor.shape, tuple(dense_strides(tensor.shape)))


def regrouped(shape: Sequence[int], steps: Sequence[int], other: Sequence[int]) -> tuple[int, ...] | None:
    """Steps along the axes of the shape `other`, of the same elements in the same order; None where one step is not
    enough for an axis."""
    loops = [(n, step) for n, step in zip(shape, steps, strict=True) if n > 1]
    found = []
    for wanted in reversed(other):
        count, first = 1, loops[-1][1] if loops and wanted > 1 else 0
        while count < wanted:
            n, step = loops.pop()
            share = math.gcd(n, wanted // count) if wanted % count == 0 else 1
            if step != first * count or share == 1:
                return None
            count *= share
            if share < n:
                loops.append((n // share, step * share))
        found.append(first)
    return tuple(reversed(found))


def padded(values: list[int], rank: int, fill: int) -> tuple[int, ...]:
    """`values` with `fill` in front, `rank` numbers in all."""
    return (*[fill] * (rank - len(values)), *values)
