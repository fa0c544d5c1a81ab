/* QUANTIZE and DEQUANTIZE between float, int8 and int16; also RELU of int16. */
#include "tinyloc_kernels.h"

/* To nearest, ties away from zero, for |x| < 2^31. */
static int32_t rounded(float x)
{
    const int32_t whole = (int32_t)x;
    const float rest = x - (float)whole;
    return whole + (rest >= 0.5f) - (rest <= -0.5f);
}

static int32_t steps(const struct tl_quantize *p, float x)
{
    /* Beyond these the result is clamped anyway, and the conversion to an integer would be undefined. */
    const float limit = 131072.0f;
    const float scaled = x / p->scale;
    const float bounded = scaled > -limit ? (scaled < limit ? scaled : limit) : -limit; /* also not a number */
    return rounded(bounded) + p->zero;
}

#define QUANTIZE(NAME, TYPE, SATURATE)                                                                          \
    void NAME(const struct tl_quantize *p, const float *in, TYPE *out)                                          \
    {                                                                                                           \
        for (const float *end = in + p->count; in != end;)                                                      \
            *out++ = (TYPE)SATURATE(steps(p, *in++));                                                           \
    }

#define DEQUANTIZE(NAME, TYPE)                                                                                  \
    void NAME(const struct tl_quantize *p, const TYPE *in, float *out)                                          \
    {                                                                                                           \
        for (const TYPE *end = in + p->count; in != end;)                                                       \
            *out++ = p->scale * (float)(*in++ - p->zero);                                                       \
    }

/* *p and a loop's own copy: an int8 that is written could be a part of the former. */
#define REQUANTIZE(NAME, FROM, TO)                                                                              \
    void NAME(const struct tl_requantize *p, const FROM *in, TO *out)                                           \
    {                                                                                                           \
        const struct tl_requantize q = *p;                                                                      \
        for (const FROM *end = in + q.count; in != end;)                                                        \
            *out++ = (TO)tl_clamp(tl_rescale(*in++ - q.zero_in, &q.scale) + q.zero_out, q.low, q.high);         \
    }

QUANTIZE(tl_quantize_s8, int8_t, tl_saturate_s8)
QUANTIZE(tl_quantize_s16, int16_t, tl_saturate_s16)
DEQUANTIZE(tl_dequantize_s8, int8_t)
DEQUANTIZE(tl_dequantize_s16, int16_t)
REQUANTIZE(tl_requantize_s8_s16, int8_t, int16_t)
REQUANTIZE(tl_requantize_s16_s8, int16_t, int8_t)
REQUANTIZE(tl_requantize_s16_s16, int16_t, int16_t)
