"""Functions of one int8 as tables [256], one entry for each input -128 … 127, equal to TFLite Micro's entry by entry.

An int8 operator of one int8 input is a function on 256 values: it is evaluated here, once, with the fixed-point
algorithm TFLite Micro would run for every element, and the microcontroller only looks up. For int16, TFLite Micro
itself keeps tables, with lines between their points.
"""

import math
from collections.abc import Callable

import numpy as np

from tinyloc.aot import fixed_point
from tinyloc.aot.graph import Tensor
from tinyloc.aot.quantise import (
    INT8_MAX,
    INT8_MIN,
    Multiplier,
    Unsuitable,
    input_radius,
    quantize_multiplier,
    round_half_away,
    scale_row,
)

INPUTS = range(INT8_MIN, INT8_MAX + 1)
SOFTMAX_INTEGER_BITS = 5  # of the exponent
SOFTMAX_SUM_BITS = 12  # integer bits of the sum of a row
_SIGMOID_INTEGER_BITS = 4


def tabulate(function: Callable[[int], int]) -> np.ndarray:
    """`function` of every int8 value, clamped to int8; [256] int8, entry i belongs to the input i - 128."""
    return np.clip([function(q) for q in INPUTS], INT8_MIN, INT8_MAX).astype(np.int8)


def tanh(source: Tensor, output: Tensor) -> np.ndarray:
    """TANH; TFLite fixes the output at scale 1/128, zero point 0."""
    return _sigmoid_like(source, fixed_point.tanh, shift=24, offset=0)


def logistic(source: Tensor, output: Tensor) -> np.ndarray:
    """LOGISTIC; TFLite fixes the output at scale 1/256, zero point -128."""
    if output.zero_point != INT8_MIN:
        raise Unsuitable(f"its output must have zero point -128, not {output.zero_point}")
    return _sigmoid_like(source, fixed_point.logistic, shift=23, offset=INT8_MIN)


def _sigmoid_like(source: Tensor, function: Callable[[int, int], int], shift: int, offset: int) -> np.ndarray:
    bits = _SIGMOID_INTEGER_BITS
    fraction, exponent = math.frexp(float(source.scale) * (1 << (31 - bits)))
    mantissa = round(fraction * (1 << 31))
    radius = input_radius(bits, exponent)

    def entry(q: int) -> int:
        centred = q - source.zero_point
        if abs(centred) >= radius:
            return INT8_MIN if centred < 0 else INT8_MAX
        scaled = fixed_point.multiply(centred, mantissa, exponent)
        return fixed_point.rounding_shift(function(scaled, bits), shift) + offset

    return tabulate(entry)


def rsqrt(source: Tensor, output: Tensor) -> np.ndarray:
    """RSQRT. Inputs below zero, which make TFLite Micro stop with an error, give the largest output, as zero does."""
    rescale = quantize_multiplier(1.0 / (math.sqrt(float(source.scale)) * float(output.scale)))
    extra = 20  # TFLite Micro's kShift: keeps the reciprocal root an integer

    def entry(q: int) -> int:
        centred = q - source.zero_point
        if centred <= 0:
            return INT8_MAX
        mantissa, exponent = fixed_point.inverse_sqrt(centred)
        root = fixed_point.multiply(1, mantissa, exponent + extra)
        return fixed_point.multiply(root, rescale.mantissa, rescale.exponent - extra) + output.zero_point

    return tabulate(entry)


def rescale(source: Tensor, output: Tensor, low: int = INT8_MIN, high: int = INT8_MAX) -> np.ndarray:
    """QUANTIZE int8 -> int8, and RELU as a rescaling with a bound."""
    factor = quantize_multiplier(float(source.scale) / float(output.scale))

    def entry(q: int) -> int:
        value = fixed_point.multiply(q - source.zero_point, factor.mantissa, factor.exponent) + output.zero_point
        return max(low, min(high, value))

    return tabulate(entry)


def softmax_exp(source: Tensor, beta: float) -> np.ndarray:
    """exp(beta * scale * -d) in Q0 for d = 0 … 255 below the row's maximum; [n] int32, n <= 256, zeros cut off.

    The inputs of the exponential are Q5.26; differences that this format cannot hold count as minus infinity.
    """
    bits = SOFTMAX_INTEGER_BITS
    real = min(beta * float(source.scale) * (1 << (31 - bits)), (1 << 31) - 1.0)
    if real <= 1.0:
        raise Unsuitable(f"input scale {source.scale} times beta {beta} is too small for TFLite's format")
    factor = quantize_multiplier(real)
    count = min(input_radius(bits, factor.exponent), 255) + 1
    scaled = [fixed_point.multiply(-d, factor.mantissa, factor.exponent) for d in range(count)]
    return np.array([fixed_point.exp_on_negative_values(a, bits) for a in scaled], np.int32)


def absolute(source: Tensor, output: Tensor) -> np.ndarray:
    """ABS"""
    factor = quantize_multiplier(float(source.scale) / float(output.scale))
    same = source.scale == output.scale

    def entry(q: int) -> int:
        size = abs(q - source.zero_point)
        return (size if same else fixed_point.multiply(size, *factor)) + output.zero_point

    return tabulate(entry)


def elu(source: Tensor, output: Tensor) -> np.ndarray:
    """ELU, which TFLite Micro tabulates too, in single precision."""
    largest = 255 * float(source.scale) / float(output.scale)
    if largest >= 1 << 31 or output.scale < np.finfo(np.float32).tiny:
        raise Unsuitable(f"its scales ask for {largest:.3g} units of {output.scale:.3g}")
    inverse = np.float32(1) / output.scale

    def entry(q: int) -> int:
        real = source.scale * np.float32(q - source.zero_point)
        value = np.float32(math.exp(real)) - np.float32(1) if real < 0 else real
        return round_half_away(float(value * inverse)) + output.zero_point

    return tabulate(entry)


def hard_swish(source: Tensor, output: Tensor) -> np.ndarray:
    """HARD_SWISH, x relu6(x + 3) / 6, in 16 bits: the input with seven bits more, and a gate in Q0 of 15 bits."""
    fine = float(source.scale) / 128
    factor = quantize_multiplier(fine / float(output.scale))
    gate = quantize_multiplier(fine / (3 / 32768))
    if factor.exponent > 0:
        raise Unsuitable(f"the scale of {output} is too small for that of {source}")

    def entry(q: int) -> int:
        value = _wrap16((q - source.zero_point) << 7)
        scaled = fixed_point.high_mul16(value, _rounded16(factor.mantissa))
        opened = _opened(value, _rounded16(gate.mantissa), gate.exponent)
        product = math.trunc(opened * scaled / (1 << 15))
        return fixed_point.rounding_shift(product, -factor.exponent) + output.zero_point

    return tabulate(entry)


def _opened(value: int, mantissa: int, exponent: int) -> int:
    """The gate of HARD_SWISH: value (mantissa / 2^15) 2^exponent, which is 2^15 where x is 3, saturated, from 0 on."""
    if exponent > 0:
        value = _saturate16(fixed_point.high_mul16(_saturate16(value << (exponent - 1)), mantissa) << 1)
    else:
        value = fixed_point.rounding_shift(fixed_point.high_mul16(value, mantissa), -exponent)
    return (value + (1 << 15)) >> 1


def _saturate16(value: int) -> int:
    return max(-(1 << 15), min((1 << 15) - 1, value))


def _wrap16(value: int) -> int:
    return ((value + (1 << 15)) & 0xFFFF) - (1 << 15)


def _rounded16(mantissa: int) -> int:
    """A multiplier's 31 bits as 15."""
    return min((mantissa + (1 << 15)) >> 16, (1 << 15) - 1)


SIGMOID_STEP = 24  # points of the table for each unit of the input
_SIGMOID_POINTS = 256


def sigmoid() -> np.ndarray:
    """The logistic function of i / 24 with 16 fractional bits, i = 0 … 255; [256] uint16.

    Each point lies above the curve by half of what the lines to its neighbours miss half way, which halves the largest
    error of the interpolation. The last point is the limit.
    """
    i = np.arange(_SIGMOID_POINTS)

    def curve(at: np.ndarray) -> np.ndarray:
        return 65536 / (1 + np.exp(-at / SIGMOID_STEP))

    missed = sum(curve(i + side / 2) - (curve(i) + curve(i + side)) / 2 for side in (-1, 1)) / 2
    values = np.round(curve(i) + missed / 2)
    values[-1] = 65535
    return values.astype(np.uint16)


def sigmoid_scale(source: Tensor, exact: tuple[int, ...]) -> tuple[int, int]:
    """(multiplier, right): x * multiplier / 2^right is an int16 input in units of 1 / (3 * 4096), 2^9 to a point.

    exact: exponents; a scale that is such a power of two, or so near that TFLite takes it to be, needs no rounding.
    Raises Unsuitable for a scale whose products do not fit 32 bits.
    """
    exponent = math.log2(float(source.scale))
    if abs(exponent - round(exponent)) < 1e-3 and round(exponent) in exact:
        return 3 << (round(exponent) + 12), 0
    multiplier, right = float(source.scale) * 4096.0 * 3.0, 0
    while multiplier <= 32767.0 / 2.0 and right <= 30:
        multiplier, right = multiplier * 2.0, right + 1
    if multiplier >= 1 << 16:
        raise Unsuitable(f"the scale of {source} is too large")
    return int(multiplier), right


def interpolated(function: Callable[[float], float], low: float, high: float) -> np.ndarray:
    """`function` at 513 points from `low` to `high` with 15 fractional bits; [513] int16.

    Each point but the last is moved by half of what the line to the next one misses half way. All in single precision,
    as TFLite Micro does it: a sum of two values has no bits left for the smallest fractions.
    """
    one, points = np.float32, 512
    start, step = one(low), (one(high) - one(low)) / one(points)

    def curve(at: np.float32) -> np.float32:
        return one(function(float(at))) * one(1 << 15)

    def rounded(value: np.float32) -> np.float32:
        return one(round_half_away(float(value)))

    entries = []
    for i in range(points):
        left = start + one(i) * step
        sample = rounded(curve(left))
        line = rounded((curve(start + one(i + 1) * step) + sample) / one(2))
        missed = line - rounded(curve(left + step / one(2)))
        entries.append(sample - rounded(missed / one(2)))
    entries.append(rounded(curve(one(high))))
    return np.clip(entries, -32768, 32767).astype(np.int16)


SOFTMAX_RANGE = 10.0  # of the table of the exponential


def wide_softmax_scale(source: Tensor, beta: float) -> tuple[int, int, int]:
    """A difference of int16 inputs in units of which 65535 are SOFTMAX_RANGE; the fields of a struct tl_scale."""
    return scale_row(quantize_multiplier(float(source.scale) * beta / (SOFTMAX_RANGE / 65535.0)))


def wide_rsqrt_scale(source: Tensor, output: Tensor) -> tuple[int, int, int]:
    """What brings 1 / sqrt of an int16, with 20 fractional bits, to the output's scale; a struct tl_scale."""
    mantissa, exponent = quantize_multiplier(1.0 / (math.sqrt(float(source.scale)) * float(output.scale)))
    if exponent - 20 < -31:
        raise Unsuitable(f"the scales of {source} and {output} are too far apart")
    return scale_row(Multiplier(mantissa, exponent - 20))
