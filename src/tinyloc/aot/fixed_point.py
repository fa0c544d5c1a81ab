"""32-bit fixed-point arithmetic as gemmlowp defines it, in Python integers.

TFLite's integer operators are specified in these terms, so tables computed here agree with TFLite Micro to the bit.
A number in the format Qm has m integer bits and 31 - m fractional bits: its value is raw / 2^(31 - m). Names and
formulas follow the gemmlowp documentation (Jacob and Warden, "Building a quantization paradigm from first
principles", and the `fixedpoint` directory's description of its functions).
"""

INT32_MAX = (1 << 31) - 1
INT32_MIN = -(1 << 31)


def saturate(value: int) -> int:
    return max(INT32_MIN, min(INT32_MAX, value))


def wrap(value: int) -> int:
    """What a 32-bit register keeps of `value`."""
    return ((value - INT32_MIN) & 0xFFFFFFFF) + INT32_MIN


def high_mul(a: int, b: int) -> int:
    """SaturatingRoundingDoublingHighMul: round(a b / 2^31), ties upwards, saturating at INT32_MIN squared."""
    return saturate((a * b + (1 << 30)) >> 31)


def high_mul16(a: int, b: int) -> int:
    """high_mul of int16: round(a b / 2^15), ties upwards, saturating."""
    return min((a * b + (1 << 14)) >> 15, (1 << 15) - 1)


def rounding_shift(value: int, exponent: int) -> int:
    """RoundingDivideByPOT: value / 2^exponent, rounded to nearest, ties away from zero."""
    if exponent == 0:
        return value
    magnitude = (abs(value) + (1 << (exponent - 1))) >> exponent
    return magnitude if value >= 0 else -magnitude


def shift(value: int, exponent: int) -> int:
    """SaturatingRoundingMultiplyByPOT: value 2^exponent."""
    return saturate(value << exponent) if exponent >= 0 else rounding_shift(value, -exponent)


def multiply(value: int, multiplier: int, exponent: int) -> int:
    """MultiplyByQuantizedMultiplier: value (multiplier / 2^31) 2^exponent, rounded twice.

    The wheel, like TFLite Micro's default build, rounds once after the multiplication and again after the shift to
    the right (TFLITE_SINGLE_ROUNDING is off).
    """
    product = high_mul(wrap(value << max(exponent, 0)), multiplier)
    return rounding_shift(product, max(-exponent, 0))


# The barrel shifter of exp_on_negative_values: (k, exp(-2^k) in Q0)
_EXP_OF_MINUS_POWER = (
    (-2, 1672461947),
    (-1, 1302514674),
    (0, 790015084),
    (1, 290630308),
    (2, 39332535),
    (3, 720401),
    (4, 242),
)
_EXP_OF_MINUS_EIGHTH = 1895147668  # Q0
_ONE_THIRD = 715827883  # Q0
_48_OVER_17 = 1515870810  # Q2
_MINUS_32_OVER_17 = -1010580540  # Q2


def _exp_near_zero(a: int) -> int:
    """exp(a) in Q0 for a in [-1/4, 0) in Q0: the Taylor series about -1/8, to the fourth order."""
    x = a + (1 << 28)
    x2 = high_mul(x, x)
    x3 = high_mul(x2, x)
    x4_over_4 = rounding_shift(high_mul(x2, x2), 2)
    tail = rounding_shift(high_mul(x4_over_4 + x3, _ONE_THIRD) + x2, 1)
    return saturate(_EXP_OF_MINUS_EIGHTH + high_mul(_EXP_OF_MINUS_EIGHTH, x + tail))


def exp_on_negative_values(a: int, integer_bits: int) -> int:
    """exp(a) in Q0 for a <= 0 in Q(integer_bits), with integer_bits at most 5."""
    if a == 0:
        return INT32_MAX
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    within_quarter = (a & (quarter - 1)) - quarter
    result = _exp_near_zero(shift(within_quarter, integer_bits))
    remainder = within_quarter - a
    for exponent, factor in _EXP_OF_MINUS_POWER:
        if exponent < integer_bits and remainder & (1 << (fraction_bits + exponent)):
            result = high_mul(result, factor)
    return result


def _reciprocal_of_half(denominator: int) -> int:
    """1 / d in Q2 for d = denominator in [1/2, 1], Q0: three Newton steps from a line."""
    x = _48_OVER_17 + high_mul(denominator, _MINUS_32_OVER_17)
    for _ in range(3):
        error = (1 << 29) - high_mul(denominator, x)
        x += shift(high_mul(x, error), 2)
    return x


def _half_sum_with_one(a: int) -> int:
    """RoundingHalfSum of a >= 0 and the largest Q0 number."""
    return (a + INT32_MAX + 1) >> 1


def one_over_one_plus(a: int) -> int:
    """1 / (1 + a) in Q0, for a in [0, 1] in Q0."""
    return shift(_reciprocal_of_half(_half_sum_with_one(a)), 1)


def _one_minus_over_one_plus(a: int) -> int:
    """(1 - a) / (1 + a) in Q0, for a in [0, 1] in Q0."""
    return shift(_reciprocal_of_half(_half_sum_with_one(a)) - (1 << 29), 2)


def tanh(a: int, integer_bits: int) -> int:
    """tanh(a) in Q0, for a in Q(integer_bits)."""
    if a == 0:
        return 0
    # exp(-2 |a|): the same bits, read with one more integer bit
    magnitude = _one_minus_over_one_plus(exp_on_negative_values(-abs(a), integer_bits + 1))
    return magnitude if a > 0 else -magnitude


def logistic(a: int, integer_bits: int) -> int:
    """1 / (1 + exp(-a)) in Q0, for a in Q(integer_bits)."""
    if a == 0:
        return 1 << 30
    upper = one_over_one_plus(exp_on_negative_values(-abs(a), integer_bits))
    return upper if a > 0 else INT32_MAX - upper


def inverse_sqrt(value: int) -> tuple[int, int]:
    """(multiplier, exponent) with 1 / sqrt(value) = (multiplier / 2^31) 2^exponent, for an integer value > 0.

    GetInvSqrtQuantizedMultiplierExp of TFLite: five Newton steps x <- (3/2) x - (v/2) x^3 in Q3.
    """
    if value <= 1:
        return INT32_MAX, 0
    exponent = 11
    while value >= 1 << 29:
        value //= 4
        exponent += 1
    pairs = (32 - value.bit_length() - 1) // 2 - 1
    exponent -= pairs
    value <<= 2 * pairs
    full = value >> 1
    half = rounding_shift(full, 1)
    one_and_half = (1 << 28) + (1 << 27)
    x = 1 << 28
    for _ in range(5):
        cube = shift(high_mul(high_mul(x, x), x), 6)
        x = shift(high_mul(one_and_half, x) - high_mul(half, cube), 3)
    result = high_mul(x, 1518500250)  # sqrt(1/2) in Q0
    if exponent < 0:
        result <<= -exponent
        exponent = 0
    return result, -exponent
