/* Fixed-point functions as gemmlowp defines them; tinyloc.aot.fixed_point has them in Python. */
#include "tinyloc_kernels.h"

static inline int32_t saturating_left_shift(int32_t x, uint32_t n)
{
    const int32_t limit = INT32_MAX >> n;
    return x > limit ? INT32_MAX : x < -limit - 1 ? INT32_MIN : x * (1 << n);
}

int32_t tl_requantise_far(int64_t sum, const struct tl_wide_channel *c)
{
    const int64_t product = sum * c->multiplier15;
    const int32_t result = (int32_t)((product + ((int64_t)1 << (c->right - 1))) >> c->right);
    return tl_saturate_s16(result);
}

int32_t tl_one_over_one_plus(int32_t a)
{
    /* 1 / d for d = (1 + a) / 2, in Q2: three Newton steps from the line 48/17 - 32/17 d */
    const int32_t half = (int32_t)(((uint32_t)a + (uint32_t)INT32_MAX + 1u) >> 1);
    int32_t x = 1515870810 + tl_high_mul(half, -1010580540);
    for (int i = 0; i < 3; i++) {
        const int32_t error = (1 << 29) - tl_high_mul(half, x);
        x += saturating_left_shift(tl_high_mul(x, error), 2);
    }
    return saturating_left_shift(x, 1);
}

struct tl_scale tl_inverse_sqrt(int32_t x)
{
    struct tl_scale scale = {INT32_MAX, 0, 0};
    if (x <= 1)
        return scale;
    int32_t exponent = 11;
    for (; x >= 1 << 29; x /= 4)
        exponent++;
    const int32_t pairs = (__builtin_clz((uint32_t)x) - 1) / 2 - 1;
    exponent -= pairs;
    x *= 1 << (2 * pairs);
    /* Newton: y <- 3/2 y - x/2 y^3, all in Q3; y stays below 2, and x/2 below 1 */
    const int32_t half = tl_rounding_shift(x >> 1, 1);
    int32_t y = 1 << 28;
    for (int i = 0; i < 5; i++) {
        const int32_t cube = saturating_left_shift(tl_high_mul30(tl_high_mul30(y, y), y), 6);
        y = saturating_left_shift(tl_high_mul30((1 << 28) + (1 << 27), y) - tl_high_mul30(half, cube), 3);
    }
    scale.multiplier = tl_high_mul30(y, 1518500250); /* times sqrt(1/2) */
    if (exponent < 0) {
        scale.multiplier *= 1 << -exponent;
        exponent = 0;
    }
    scale.right = (uint8_t)exponent;
    return scale;
}
