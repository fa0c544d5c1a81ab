"""int8 operations of two operands, as TFLite defines them: what a kernel needs to know, and the result itself.

The result for single integers serves where one operand is a constant: then the operation is a table.
"""

from collections.abc import Callable

from tinyloc.aot import fixed_point
from tinyloc.aot.graph import Tensor
from tinyloc.aot.quantise import Multiplier, Unsuitable, activation_range, quantize_multiplier, scale_row


class Integer:
    """The int8 form of an operation: the fields of its parameter block, and its value for one pair of integers."""

    block = ""

    def __init__(self, a: Tensor, b: Tensor, output: Tensor, activation: str):
        self.zero_a, self.zero_b, self.zero_out = a.zero_point, b.zero_point, output.zero_point
        self.low, self.high = activation_range(activation, output)

    def exchange(self) -> None:
        """Make it the same operation of operands that are given in the other order."""
        self.zero_a, self.zero_b = self.zero_b, self.zero_a

    def clamp(self, raw: int, factor: Multiplier) -> int:
        return max(self.low, min(self.high, fixed_point.multiply(raw, *factor) + self.zero_out))

    def zeros(self) -> dict:
        return {"zero_a": self.zero_a, "zero_b": self.zero_b, "zero_out": self.zero_out}


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

    def exchange(self) -> None:
        super().exchange()
        self.sign_a, self.sign_b = self.sign_b, self.sign_a

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

    def __init__(self, a: Tensor, b: Tensor, output: Tensor, activation: str):
        super().__init__(a, b, output, activation)
        self.factor = quantize_multiplier(float(a.scale) * float(b.scale) / float(output.scale))

    def __call__(self, a: int, b: int) -> int:
        return self.clamp((a - self.zero_a) * (b - self.zero_b), self.factor)

    def parameters(self) -> dict:
        return {**self.zeros(), "scale": scale_row(self.factor), "low": self.low, "high": self.high}


class Extremum(Integer):
    """MINIMUM and MAXIMUM compare the integers: TFLite requires one scale and zero point of all three tensors."""

    block = "extremum_s8"
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
