"""int8 -> int8 tables [256], one entry for each input -128 … 127, equal to TFLite Micro's operators entry by entry.

An int8 operator of one int8 input is a function on 256 values: it is evaluated here, once, with the fixed-point
algorithm TFLite Micro would run for every element, and the microcontroller only looks up.
"""

import math
from collections.abc import Callable

import numpy as np

from tinyloc.aot import fixed_point
from tinyloc.aot.graph import Tensor
from tinyloc.aot.quantise import INT8_MAX, INT8_MIN, Unsuitable, input_radius, quantize_multiplier, round_half_away

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
    inverse = np.float32(1) / output.scale

    def entry(q: int) -> int:
        real = source.scale * np.float32(q - source.zero_point)
        value = np.float32(math.exp(real)) - np.float32(1) if real < 0 else real
        return round_half_away(float(value * inverse)) + output.zero_point

    return tabulate(entry)
