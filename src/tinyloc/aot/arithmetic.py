"""Integer operations of two operands, as TFLite defines them: what a kernel needs to know, and the result itself.

The result for single integers serves where one operand is an int8 constant: then the operation is a table.
"""

from collections.abc import Callable

from tinyloc.aot import fixed_point
from tinyloc.aot.graph import Tensor
from tinyloc.aot.quantise import (
    INT8_MAX,
    SUM_LIMIT,
    Multiplier,
    Unsuitable,
    activation_range,
    channel_row,
    limits,
    quantize_multiplier,
    scale_row,
)

_ONE_HALF = Multiplier(1 << 30, 0)  # the factor of the operand that has the larger scale


class Integer:
    """The integer form of an operation: the fields of its parameter block, and its value for one pair of integers."""

    block = ""
    largest = SUM_LIMIT - 1  # magnitude of what is rescaled to the output

    def __init__(self, a: Tensor, b: Tensor, output: Tensor, activation: str):
        self.limits = limits(output)
        self.zero_a, self.zero_b, self.zero_out = a.zero_point, b.zero_point, output.zero_point
        self.low, self.high = activation_range(activation, output)

    def exchange(self) -> None:
        """Make it the same operation of operands that are given in the other order."""
        self.zero_a, self.zero_b = self.zero_b, self.zero_a

    def clamp(self, raw: int, factor: Multiplier) -> int:
        return max(self.low, min(self.high, fixed_point.multiply(raw, *factor) + self.zero_out))

    @property
    def exchanged(self) -> bool:
        """Whether the kernel wants the operands in the other order."""
        return False

    def output(self, factor: Multiplier) -> tuple[int, ...]:
        return channel_row(factor, self.zero_out, largest=self.largest)

    def bounds(self) -> dict:
        clamped = (self.low, self.high) != self.limits
        return {"clamped": int(clamped), "low": self.low, "high": self.high}


class Widened(Integer):
    """Operations that first bring both operands to twice the larger of their scales, widened by `shift` bits."""

    shift: int

    def __init__(self, a: Tensor, b: Tensor, output: Tensor, activation: str):
        super().__init__(a, b, output, activation)
        self.factor_a, self.factor_b, self.factor = self.factors(a, b, output)

    def factors(self, a: Tensor, b: Tensor, output: Tensor) -> tuple[Multiplier, Multiplier, Multiplier]:
        twice = 2 * max(float(a.scale), float(b.scale))
        return (
            quantize_multiplier(float(a.scale) / twice),
            quantize_multiplier(float(b.scale) / twice),
            quantize_multiplier(twice / ((1 << self.shift) * float(output.scale))),
        )

    def exchange(self) -> None:
        super().exchange()
        self.factor_a, self.factor_b = self.factor_b, self.factor_a

    @property
    def exchanged(self) -> bool:
        return self.factor_b != _ONE_HALF

    def widened(self, a: int, b: int) -> tuple[int, int]:
        return (
            fixed_point.multiply((a - self.zero_a) << self.shift, *self.factor_a),
            fixed_point.multiply((b - self.zero_b) << self.shift, *self.factor_b),
        )

    def common(self, sign_a: int, sign_b: int) -> tuple[int, ...]:
        """The fields of a struct tl_common_scale, for operands whose second is in the common scale already."""
        mantissa, _, right = scale_row(self.factor_a)
        if right == 0:  # the first one too: half of it, which is exact, taken twice
            right, sign_a = 1, 2 * sign_a
        half = 1 << (right - 1)
        weight_b = sign_b << (self.shift - 1)
        return (self.zero_a, self.zero_b, mantissa, half, self.shift, right, sign_a, weight_b)


class Sum(Widened):
    block = "add_int"
    sign_a, sign_b = 1, 1

    @property
    def shift(self) -> int:
        return 20 if self.limits[1] == INT8_MAX else 15

    def exchange(self) -> None:
        super().exchange()
        self.sign_a, self.sign_b = self.sign_b, self.sign_a

    def __call__(self, a: int, b: int) -> int:
        left, right = self.widened(a, b)
        return self.clamp(self.sign_a * left + self.sign_b * right, self.factor)

    def parameters(self) -> dict:
        return {"common": self.common(self.sign_a, self.sign_b), "output": self.output(self.factor), **self.bounds()}


class Difference(Sum):
    sign_b = -1


class SquaredDifference(Widened):
    @property
    def shift(self) -> int:
        return 7 if self.limits[1] == INT8_MAX else 0

    @property
    def block(self) -> str:
        return "squared_difference_s8" if self.shift else "squared_difference_s16"

    def factors(self, a: Tensor, b: Tensor, output: Tensor) -> tuple[Multiplier, Multiplier, Multiplier]:
        factor_a, factor_b, _ = super().factors(a, b, output)
        twice = 2 * max(float(a.scale), float(b.scale))
        divisor = (1 << (2 * self.shift)) * float(output.scale)
        return factor_a, factor_b, quantize_multiplier(twice * twice / divisor)

    def __call__(self, a: int, b: int) -> int:
        left, right = self.widened(a, b)
        return self.clamp((left - right) ** 2, self.factor)

    def parameters(self) -> dict:
        if self.shift:
            return {"common": self.common(-1, 1), "output": self.output(self.factor)}
        # both are halved at least, so the square of the difference may just reach the limit
        return {"scale_a": scale_row(self.factor_a), "output": channel_row(self.factor, 0, largest=SUM_LIMIT)}


class Product(Integer):
    block = "mul_int"

    def __init__(self, a: Tensor, b: Tensor, output: Tensor, activation: str):
        super().__init__(a, b, output, activation)
        self.largest = self.limits[0] ** 2 if a.dtype == "int16" else self.largest
        self.factor = quantize_multiplier(float(a.scale) * float(b.scale) / float(output.scale))

    def __call__(self, a: int, b: int) -> int:
        return self.clamp((a - self.zero_a) * (b - self.zero_b), self.factor)

    def parameters(self) -> dict:
        zeros = {"zero_a": self.zero_a, "zero_b": self.zero_b}
        return {**zeros, "output": self.output(self.factor), **self.bounds()}


class Extremum(Integer):
    """MINIMUM and MAXIMUM compare the integers: TFLite requires one scale and zero point of all three tensors."""

    block = "extremum_int"
    choose: Callable[[int, int], int]

    def __init__(self, a: Tensor, b: Tensor, output: Tensor, activation: str):
        super().__init__(a, b, output, activation)
        for tensor in (a, b):
            if tensor.scale != output.scale or tensor.zero_point != output.zero_point:
                raise Unsuitable(f"{tensor} and its output differ in quantisation")

    def __call__(self, a: int, b: int) -> int:
        return self.choose(a, b)

    def parameters(self) -> dict:
        return {}


class Minimum(Extremum):
    choose = staticmethod(min)


class Maximum(Extremum):
    choose = staticmethod(max)


OPERATIONS = {
    "add": Sum,
    "sub": Difference,
    "mul": Product,
    "squared_difference": SquaredDifference,
    "minimum": Minimum,
    "maximum": Maximum,
}
