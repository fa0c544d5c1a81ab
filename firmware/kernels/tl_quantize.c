/* QUANTIZE and DEQUANTIZE between float, int8 and int16; also RELU of int16. */
#include "tinyloc_kernels.h"

#define QUANTIZE(NAME, TYPE, SATURATE)                                                                          \
    void NAME(const struct tl_quantize *p, const float *in, TYPE *out)                                          \
    {                                                                                                           \
        for (const float *end = in + p->count; in != end;)                                                      \
            *out++ = (TYPE)SATURATE(tl_quantised(*in++, p->scale, p->zero));                                                           \
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
