/* exp, log, tanh and the logistic function for float.
 *
 * Only additions, multiplications, divisions and bit operations, in a fixed order: built without contraction into
 * fused operations, the results are the same bits on every IEEE machine. The polynomials are near-minimax fits
 * (Lawson's iteration) of relative error below 1e-8, so rounding dominates; ranges are reduced as in W. J. Cody and
 * W. Waite, "Software Manual for the Elementary Functions" (1980).
 */
#include <string.h>

#include "tinyloc_kernels.h"

static float from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t to_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

float tl_expf(float x)
{
    if (!(x >= -87.33654f)) /* below the logarithm of the smallest normal number; or not a number */
        return x < 0.0f ? 0.0f : x;
    if (x > 88.72283f)
        return from_bits(0x7f800000u); /* infinity */
    /* x = n ln 2 + r, |r| <= ln 2 / 2; the high part of ln 2 has few enough bits for an exact product */
    const int32_t n = (int32_t)(x * 1.44269504f + (x < 0.0f ? -0.5f : 0.5f));
    const float r = (x - (float)n * 0.693145752f) - (float)n * 1.42860677e-6f;
    /* e^r = 1 + r + r^2 q(r) */
    const float q = (((1.38145708e-3f * r + 8.36873055e-3f) * r + 4.16683890e-2f) * r + 0.166665211f) * r + 0.49999994f;
    const float y = 1.0f + (r + r * r * q);
    return y * 2.0f * from_bits((uint32_t)(n + 126) << 23); /* in two steps: 2^128 is not a float */
}

float tl_logf(float x)
{
    uint32_t bits = to_bits(x);
    int32_t n = -127;
    if (x <= 0.0f)
        return x < 0.0f ? from_bits(0x7fc00000u) : from_bits(0xff800000u); /* not a number; minus infinity */
    if (bits >= 0x7f800000u)
        return x; /* infinity or not a number */
    if (bits < 0x00800000u) {
        bits = to_bits(x * 8388608.0f); /* subnormal */
        n -= 23;
    }
    /* x = 2^n m, m in [sqrt(1/2), sqrt(2)) */
    n += (int32_t)(bits >> 23);
    float m = from_bits((bits & 0x007fffffu) | 0x3f800000u);
    if (m > 1.41421354f) {
        m *= 0.5f;
        n++;
    }
    /* log m = 2 artanh(s), s = (m - 1) / (m + 1) */
    const float s = (m - 1.0f) / (m + 1.0f);
    const float u = s * s;
    const float tail = s * u * ((0.298730731f * u + 0.399774969f) * u + 0.666667759f);
    return (float)n * 0.693145752f + (2.0f * s + (tail + (float)n * 1.42860677e-6f));
}

float tl_tanhf(float x)
{
    const float a = x < 0.0f ? -x : x;
    if (a < 0.625f) {
        const float u = x * x;
        const float p = (((-5.70498686e-3f * u + 2.06390861e-2f) * u - 5.37397154e-2f) * u + 0.133314416f) * u - 0.333332807f;
        return x + x * u * p;
    }
    const float y = a > 10.0f ? 1.0f : 1.0f - 2.0f / (tl_expf(2.0f * a) + 1.0f);
    return x < 0.0f ? -y : y;
}

float tl_logisticf(float x)
{
    return 1.0f / (1.0f + tl_expf(-x));
}
