/* QUANTIZE and DEQUANTIZE between float and int8. */
#include "tinyloc_kernels.h"

/* To nearest, ties away from zero, for |x| < 2^31. */
static int32_t rounded(float x)
{
    const int32_t whole = (int32_t)x;
    const float rest = x - (float)whole;
    return whole + (rest >= 0.5f) - (rest <= -0.5f);
}

void tl_quantize(const struct tl_quantize *p, const float *in, int8_t *out)
{
    /* Beyond these the result is clamped anyway, and the conversion to an integer would be undefined. */
    const float limit = 1024.0f;
    for (const float *end = in + p->count; in != end;) {
        const float scaled = *in++ / p->scale;
        const float bounded = scaled > -limit ? (scaled < limit ? scaled : limit) : -limit; /* also not a number */
        *out++ = tl_clamp_s8(rounded(bounded) + p->zero, INT8_MIN, INT8_MAX);
    }
}

void tl_dequantize(const struct tl_quantize *p, const int8_t *in, float *out)
{
    for (const int8_t *end = in + p->count; in != end;)
        *out++ = p->scale * (float)(*in++ - p->zero);
}
