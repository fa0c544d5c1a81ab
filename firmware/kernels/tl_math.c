/* exp, log, tanh and the logistic function for float.
 *
 * Only additions, multiplications, divisions, fused ones where they are written, and bit operations, in a fixed order:
 * built without further contraction, the results are the same bits on every IEEE machine. The polynomials are
 * near-minimax fits (Lawson's iteration) of relative error about 1e-7 or below; ranges are reduced as in W. J. Cody and
 * W. Waite, "Software Manual for the Elementary Functions" (1980).
 */
#include "tinyloc_kernels.h"

float tl_expf_far(float x)
{
    if (x < -87.33654f) /* below the logarithm of the smallest normal number */
        return 0.0f;
    if (x > 88.72283f)
        return tl_float_of(0x7f800000u); /* infinity */
    if (x != x)
        return x;
    const float root = tl_expf(0.5f * x);
    return root * root;
}

float tl_logf(float x)
{
    uint32_t bits = tl_bits_of(x);
    int32_t n = -127;
    if (x <= 0.0f)
        return x < 0.0f ? tl_float_of(0x7fc00000u) : tl_float_of(0xff800000u); /* not a number; minus infinity */
    if (bits >= 0x7f800000u)
        return x; /* infinity or not a number */
    if (bits < 0x00800000u) {
        bits = tl_bits_of(x * 8388608.0f); /* subnormal */
        n -= 23;
    }
    /* x = 2^n m, m in [sqrt(1/2), sqrt(2)) */
    n += (int32_t)(bits >> 23);
    float m = tl_float_of((bits & 0x007fffffu) | 0x3f800000u);
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
