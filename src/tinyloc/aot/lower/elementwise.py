"""Operators of two operands, with broadcasting: ADD, SUB, MUL, DIV, SQUARED_DIFFERENCE, MINIMUM, MAXIMUM.

With an int8 constant of one value as an operand they are functions of one int8, and become a table.
"""

from collections.abc import Callable

import numpy as np

from tinyloc.aot import fixed_point, tables
from tinyloc.aot.graph import Tensor
from tinyloc.aot.lower.common import Context, array, collapse, dense_strides, padded, scale_row
from tinyloc.aot.quantise import Multiplier, activation_range, float_activation_range, quantize_multiplier

LOOPS = 4  # of struct tl_broadcast


def broadcast(c: Context, a: Tensor, b: Tensor) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """(dims, steps of a, steps of b): the fields of a struct tl_broadcast. Checks the output's shape."""
    try:
        shape = np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise c.refuse(f"{a} and {b} cannot be broadcast") from None
    c.shape(c.output, shape)
    dims, (steps_a, steps_b) = collapse(shape, _steps(a.shape, shape), _steps(b.shape, shape))
    c.need(len(dims) <= LOOPS, f"{a} and {b} broadcast along too many axes in turn")
    return padded(dims, LOOPS, 1), padded(steps_a, LOOPS, 0), padded(steps_b, LOOPS, 0)


def _steps(shape: tuple[int, ...], target: tuple[int, ...]) -> list[int]:
    """Steps through a tensor of `shape` while walking over `target`: 0 where it is broadcast."""
    aligned = (1,) * (len(target) - len(shape)) + shape
    return [0 if n == 1 else step for n, step in zip(aligned, dense_strides(aligned), strict=True)]


def binary(c: Context, name: str) -> None:
    a, b = c.input(0), c.input(1)
    kind = c.kind(a, b, c.output)
    activation = c.options.get("activation", "NONE")
    if kind == "f32":
        low, high = float_activation_range(activation)
        emit(c, f"{name}_f32", a, b, broadcast(c, a, b), {"low": low, "high": high}, "binary_f32")
        return
    operation = INTEGER[name](c, a, b)
    shape = broadcast(c, a, b)
    for constant, other in ((a, b), (b, a)):
        if constant.data is not None and constant.size == 1 and other.data is None:
            as_table(c, operation, a, b, constant, other)
            return
    # The integer kernels want an a that is not broadcast along the innermost loop.
    if shape[1][-1] == 0:
        a, b = b, a
        shape = (shape[0], shape[2], shape[1])
        operation = operation.swapped()
    emit(c, f"{name if name != 'sub' else 'add'}_s8", a, b, shape, operation.parameters(), operation.block)


def emit(c: Context, kernel: str, a: Tensor, b: Tensor, shape: tuple, parameters: dict, block: str) -> None:
    # An operand that is not broadcast may lend its memory to the output.
    in_place = tuple(i for i, tensor in enumerate((a, b)) if tensor.size == c.output.size)
    c.program.call(
        c.operator,
        kernel,
        {"shape": shape, **parameters},
        (a.index, b.index),
        c.output.index,
        in_place=in_place,
        block=block,
    )


def as_table(c: Context, operation: "Integer", a: Tensor, b: Tensor, constant: Tensor, other: Tensor) -> None:
    fixed = int(constant.data.reshape(-1)[0])
    if constant is a:
        table = tables.tabulate(lambda q: operation(fixed, q))
    else:
        table = tables.tabulate(lambda q: operation(q, fixed))
    call_table(c, table, other)


def call_table(c: Context, table: np.ndarray, source: Tensor) -> None:
    """output = table[source + 128]"""
    parameters = {"count": source.size, "table": array(table)}
    c.program.call(c.operator, "table_s8", parameters, (source.index,), c.output.index, in_place=(0,))


class Integer:
    """The int8 form of an operation: its parameters, and its value for one pair of integers (for tables)."""

    block = ""

    def __init__(self, c: Context, a: Tensor, b: Tensor):
        self.zero_a, self.zero_b, self.zero_out = a.zero_point, b.zero_point, c.output.zero_point
        self.low, self.high = activation_range(c.options.get("activation", "NONE"), c.output)

    def swapped(self) -> "Integer":
        """The same operation with its operands exchanged."""
        self.zero_a, self.zero_b = self.zero_b, self.zero_a
        return self

    def clamp(self, raw: int, factor: Multiplier) -> int:
        return max(self.low, min(self.high, fixed_point.multiply(raw, *factor) + self.zero_out))

    def zeros(self) -> dict:
        return {"zero_a": self.zero_a, "zero_b": self.zero_b, "zero_out": self.zero_out}


class Widened(Integer):
    """Operations that first bring both operands to twice the larger of their scales, widened by `shift` bits."""

    shift: int

    def __init__(self, c: Context, a: Tensor, b: Tensor):
        super().__init__(c, a, b)
        self.factor_a, self.factor_b, self.factor = self.factors(a, b, c.output)

    def factors(self, a: Tensor, b: Tensor, output: Tensor) -> tuple[Multiplier, Multiplier, Multiplier]:
        twice = 2 * max(float(a.scale), float(b.scale))
        return (
            quantize_multiplier(float(a.scale) / twice),
            quantize_multiplier(float(b.scale) / twice),
            quantize_multiplier(twice / ((1 << self.shift) * float(output.scale))),
        )

    def swapped(self) -> "Widened":
        super().swapped()
        self.factor_a, self.factor_b = self.factor_b, self.factor_a
        return self

    def widened(self, a: int, b: int) -> tuple[int, int]:
        return (
            fixed_point.multiply((a - self.zero_a) << self.shift, *self.factor_a),
            fixed_point.multiply((b - self.zero_b) << self.shift, *self.factor_b),
        )

    def scales(self) -> dict:
        return {
            "scale_a": scale_row(self.factor_a),
            "scale_b": scale_row(self.factor_b),
            "scale": scale_row(self.factor),
        }


class Sum(Widened):
    shift = 20
    block = "add_s8"
    sign_a, sign_b = 1, 1

    def swapped(self) -> "Sum":
        super().swapped()
        self.sign_a, self.sign_b = self.sign_b, self.sign_a
        return self

    def __call__(self, a: int, b: int) -> int:
        left, right = self.widened(a, b)
        return self.clamp(self.sign_a * left + self.sign_b * right, self.factor)

    def parameters(self) -> dict:
        bounds = {"low": self.low, "high": self.high}
        return {**self.zeros(), **self.scales(), "sign_a": self.sign_a, "sign_b": self.sign_b, **bounds}


class Difference(Sum):
    sign_b = -1


class SquaredDifference(Widened):
    shift = 7
    block = "squared_difference_s8"

    def factors(self, a: Tensor, b: Tensor, output: Tensor) -> tuple[Multiplier, Multiplier, Multiplier]:
        factor_a, factor_b, _ = super().factors(a, b, output)
        twice = 2 * max(float(a.scale), float(b.scale))
        divisor = (1 << (2 * self.shift)) * float(output.scale)
        return factor_a, factor_b, quantize_multiplier(twice * twice / divisor)

    def __call__(self, a: int, b: int) -> int:
        left, right = self.widened(a, b)
        return self.clamp((left - right) ** 2, self.factor)

    def parameters(self) -> dict:
        return {**self.zeros(), **self.scales()}


class Product(Integer):
    block = "mul_s8"

    def __init__(self, c: Context, a: Tensor, b: Tensor):
        super().__init__(c, a, b)
        self.factor = quantize_multiplier(float(a.scale) * float(b.scale) / float(c.output.scale))

    def __call__(self, a: int, b: int) -> int:
        return self.clamp((a - self.zero_a) * (b - self.zero_b), self.factor)

    def parameters(self) -> dict:
        return {**self.zeros(), "scale": scale_row(self.factor), "low": self.low, "high": self.high}


class Extremum(Integer):
    """MINIMUM and MAXIMUM compare the integers: TFLite requires one scale and zero point of all three tensors."""

    block = "extremum_s8"
    choose: Callable[[int, int], int]

    def __init__(self, c: Context, a: Tensor, b: Tensor):
        super().__init__(c, a, b)
        for tensor in (a, b):
            same = tensor.scale == c.output.scale and tensor.zero_point == c.output.zero_point
            c.need(same, f"{tensor} and its output differ in quantisation")

    def __call__(self, a: int, b: int) -> int:
        return self.choose(a, b)

    def parameters(self) -> dict:
        return {}


class Minimum(Extremum):
    choose = staticmethod(min)


class Maximum(Extremum):
    choose = staticmethod(max)


INTEGER = {
    "add": Sum,
    "sub": Difference,
    "mul": Product,
    "squared_difference": SquaredDifference,
    "minimum": Minimum,
    "maximum": Maximum,
}


def _lowering(name: str) -> Callable[[Context], None]:
    return lambda c: binary(c, name)


def div(c: Context) -> None:
    c.need(c.output.dtype == "float32", "there is no integer kernel for it")
    binary(c, "div")


LOWERINGS = {name.upper(): _lowering(name) for name in INTEGER} | {"DIV": div}
