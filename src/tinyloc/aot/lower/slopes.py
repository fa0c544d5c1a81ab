"""Functions that have another slope below zero: PRELU, LEAKY_RELU, and ABS of int16, whose slope there is -1.

All are one kernel of two operands, x and alpha; of an int8 and an alpha that is known they are a table.
"""

import math
from dataclasses import dataclass

import numpy as np

from tinyloc.aot import fixed_point, tables
from tinyloc.aot.graph import Tensor
from tinyloc.aot.lower.common import Context, call_table
from tinyloc.aot.lower.elementwise import broadcast, emit, is_scalar_constant
from tinyloc.aot.quantise import Multiplier, quantize_multiplier, scale_row


@dataclass(frozen=True)
class Slopes:
    """A struct tl_slopes, and the function itself for one pair of integers."""

    zero_in: int
    zero_alpha: int
    zero_out: int
    above: Multiplier
    below: Multiplier

    def __call__(self, x: int, alpha: int) -> int:
        centred = x - self.zero_in
        if centred >= 0:
            return fixed_point.multiply(centred, *self.above) + self.zero_out
        return fixed_point.multiply(centred * (alpha - self.zero_alpha), *self.below) + self.zero_out

    def parameters(self) -> dict:
        zeros = self.zero_in, self.zero_alpha, self.zero_out
        return {"slopes": (*zeros, scale_row(self.above), scale_row(self.below))}


def prelu(c: Context) -> None:
    source, alpha, output = c.input(0), c.input(1), c.output
    kind = c.kind(source, output, wide=True)
    c.need(output.shape == source.shape, f"{alpha} makes {source} larger")
    if kind == "f32":
        c.kind(source, alpha)
        emit(c, "prelu_f32", source, alpha, broadcast(c, source, alpha), UNBOUNDED, "binary_f32")
        return
    c.need(alpha.dtype == "int8", f"its slopes {alpha} are not int8")
    c.one_scale(alpha)
    ratio = float(source.scale) / float(output.scale)
    below = float(source.scale) * float(alpha.scale) / float(output.scale)
    factors = quantize_multiplier(ratio), quantize_multiplier(below)
    slopes = Slopes(source.zero_point, alpha.zero_point, output.zero_point, *factors)
    if kind == "s16":
        alpha = c.program.constant(alpha.name, c.constant(1).astype(np.int16))
    _emit(c, kind, source, alpha, slopes)


def leaky_relu(c: Context) -> None:
    source, output = c.input(0), c.output
    kind = c.kind(source, output, wide=True)
    c.need(output.shape == source.shape, f"{source} and its output differ in shape")
    slope = np.float32(c.options["alpha"])
    c.need(math.isfinite(slope), f"its slope is {slope}")
    if kind == "f32":
        alpha = c.program.constant("slope", slope.reshape(1))
        emit(c, "prelu_f32", source, alpha, broadcast(c, source, alpha), UNBOUNDED, "binary_f32")
        return
    c.need(slope >= 0, f"its slope {slope} is negative")  # TFLite Micro rounds ties another way then
    above = float(source.scale) / float(output.scale)
    below = float(source.scale) * float(slope) / float(output.scale)
    _one_slope(c, kind, above, below)


def wide_abs(c: Context) -> None:
    ratio = float(c.input(0).scale) / float(c.output.scale)
    _one_slope(c, "s16", ratio, ratio, alpha=-1)


def _one_slope(c: Context, kind: str, above: float, below: float, alpha: int = 1) -> None:
    """above, below: what a step of the input is in units of the output; below zero times alpha."""
    source, output = c.input(0), c.output
    factors = quantize_multiplier(above), quantize_multiplier(below)
    dtype = np.int8 if kind == "s8" else np.int16
    slope = c.program.constant("slope", np.array([alpha], dtype))
    _emit(c, kind, source, slope, Slopes(source.zero_point, 0, output.zero_point, *factors))


def _emit(c: Context, kind: str, source: Tensor, alpha: Tensor, slopes: Slopes) -> None:
    if kind == "s8" and is_scalar_constant(alpha):
        fixed = int(alpha.data.reshape(-1)[0])
        call_table(c, tables.tabulate(lambda q: slopes(q, fixed)), source)
        return
    shape = broadcast(c, source, alpha)
    emit(c, f"prelu_{kind}", source, alpha, shape, slopes.parameters(), "prelu_int")


UNBOUNDED = {"clamped": 0, "low": 0.0, "high": 0.0}

LOWERINGS = {"PRELU": prelu, "LEAKY_RELU": leaky_relu}
