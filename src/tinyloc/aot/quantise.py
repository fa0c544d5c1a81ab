"""Real scales to integer multipliers, fused activations to integer ranges (TFLite's 8-bit quantisation specification).

real = scale * (quantised - zero_point). TFLite Micro computes every multiplier from its float scales in double
precision, and so do the callers of this module: one unit in the last place of a multiplier can change an output.
"""

import math
from typing import NamedTuple

import numpy as np

from tinyloc.aot.graph import Tensor

INT8_MIN, INT8_MAX = -128, 127


def limits(tensor: Tensor) -> tuple[int, int]:
    """The smallest and largest integer of a tensor's type."""
    info = np.iinfo(tensor.dtype)
    return int(info.min), int(info.max)


class Unsuitable(Exception):
    """Scales or zero points that an integer operator cannot have; the message says which and why."""


class Multiplier(NamedTuple):
    """A positive real number as (mantissa / 2^31) 2^exponent, mantissa in [2^30, 2^31)."""

    mantissa: int
    exponent: int


def round_half_away(value: float) -> int:
    """C's round()."""
    return math.floor(abs(value) + 0.5) * (1 if value >= 0 else -1)


def quantize_multiplier(real: float) -> Multiplier:
    """QuantizeMultiplier: the nearest 31-bit mantissa; a number below 2^-32 becomes 0.

    Raises Unsuitable for a factor that no 32-bit value survives: scales that cannot belong together.
    """
    if real == 0.0:
        return Multiplier(0, 0)
    fraction, exponent = math.frexp(real)
    mantissa = round_half_away(fraction * (1 << 31))
    if mantissa == 1 << 31:
        mantissa //= 2
        exponent += 1
    if exponent < -31:
        return Multiplier(0, 0)
    if exponent > 30:
        raise Unsuitable(f"its scales ask for a factor of {real:.3g}")
    return Multiplier(mantissa, exponent)


def scale_row(factor: Multiplier) -> tuple[int, int, int]:
    """The initialiser of a struct tl_scale."""
    return factor.mantissa, max(factor.exponent, 0), max(-factor.exponent, 0)


SUM_LIMIT = 1 << 30  # a kernel's short form holds smaller sums only


def channel_row(factor: Multiplier, zero: int, bias: int = 0, largest: int = SUM_LIMIT) -> tuple[int, ...]:
    """The initialiser of a struct tl_channel. largest: what the magnitude of no sum exceeds."""
    _, left, right = scale_row(factor)
    short = left == 0 and 1 <= right <= 22 and largest < SUM_LIMIT
    offset = (zero << right) + (1 << (right - 1)) if short else 0
    return bias, factor.mantissa, offset, left, right, zero, int(not short)


WIDE_EXPONENTS = range(-31, 8)  # for which TFLite defines the rescaling of 64-bit sums


def wide_row(real: float, bias: int = 0) -> tuple[int, int, int, int]:
    """The initialiser of a struct tl_wide_channel: MultiplyByQuantizedMultiplier for 64 bits keeps 15 of the mantissa.

    Raises Unsuitable for a factor of 128 or more.
    """
    mantissa, exponent = quantize_multiplier(real)
    if exponent not in WIDE_EXPONENTS:
        raise Unsuitable(f"its scales ask for a factor of {real:.3g}")
    kept, right = min((mantissa + (1 << 15)) >> 16, (1 << 15) - 1), 15 - exponent
    word = kept << (32 - right) if right <= 32 else 0
    return bias, word if word < 1 << 31 else 0, kept, right


def scale_of(real: float) -> tuple[int, int, int]:
    """The initialiser of a struct tl_scale for a real factor."""
    return scale_row(quantize_multiplier(real))


def activation_range(activation: str, output: Tensor) -> tuple[int, int]:
    """The integers between which a fused activation keeps the output."""

    def quantised(real: float) -> int:
        with np.errstate(over="ignore"):
            units = float(np.float32(real) / output.scale)
        if abs(units) > 1 << 30:
            raise Unsuitable(f"the scale of {output} is too small for {activation}")
        return output.zero_point + round_half_away(units)

    low, high = limits(output)
    if activation in ("RELU", "RELU6"):
        low = max(low, quantised(0.0))
    if activation == "RELU6":
        high = min(high, quantised(6.0))
    if activation == "RELU_N1_TO_1":
        low, high = max(low, quantised(-1.0)), min(high, quantised(1.0))
    return low, high


def float_activation_range(activation: str) -> tuple[float, float]:
    largest = float(np.finfo(np.float32).max)
    return {
        "NONE": (-largest, largest),
        "RELU": (0.0, largest),
        "RELU6": (0.0, 6.0),
        "RELU_N1_TO_1": (-1.0, 1.0),
    }[activation]


def input_radius(integer_bits: int, exponent: int) -> int:
    """The largest |input| that stays representable in Q(integer_bits) after scaling by 2^exponent."""
    return math.floor(((1 << integer_bits) - 1) * 2.0 ** (31 - integer_bits) / 2.0**exponent)
