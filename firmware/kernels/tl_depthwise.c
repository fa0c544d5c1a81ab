/* DEPTHWISE_CONV_2D. */
#include <float.h>
#include <string.h>

#include "tinyloc_kernels.h"

#ifdef TL_HELIUM_FLOAT
#include <arm_mve.h>
#endif

/* The loops are the same for all types. `taps` are those inside the input; x and w walk over them for one channel.
 * START is the sum's first value, NEXT is the sum with one more tap, RESULT is made of the sum. */
#define DEPTHWISE(NAME, BLOCK, TYPE, WEIGHT, SUM, START, NEXT, RESULT)                                          \
    void NAME(const struct BLOCK *p, const TYPE *in, TYPE *out)                                                 \
    {                                                                                                           \
        const struct tl_window *s = &p->window;                                                                 \
        const uint32_t out_c = p->in_c * p->multiplier, row = (uint32_t)s->in_w * p->in_c;                      \
        const uint32_t x_step = (uint32_t)s->dilation_w * p->in_c;                                              \
        for (uint32_t batch = 0; batch < p->batches; batch++, in += (uint32_t)s->in_h * row) {                  \
            for (int32_t pixel = 0; pixel < s->out_h * s->out_w; pixel++) {                                     \
                const struct tl_taps taps = tl_taps(s, pixel);                                                  \
                const int32_t y = taps.y + taps.top * s->dilation_h, x0 = taps.x + taps.left * s->dilation_w;   \
                const TYPE *first = in + (uint32_t)(y * s->in_w + x0) * p->in_c;                                \
                const WEIGHT *weights = p->weights + (uint32_t)(taps.top * s->filter_w + taps.left) * out_c;    \
                for (uint32_t c = 0, left = p->multiplier; c < out_c; c++, weights++) {                         \
                    SUM sum = START;                                                                            \
                    for (int32_t i = taps.top; i < taps.bottom; i++) {                                          \
                        const TYPE *x = first + (uint32_t)((i - taps.top) * s->dilation_h) * row;               \
                        const WEIGHT *w = weights + (uint32_t)((i - taps.top) * s->filter_w) * out_c;           \
                        for (int32_t j = taps.left; j < taps.right; j++, x += x_step, w += out_c)               \
                            sum = NEXT;                                                                         \
                    }                                                                                           \
                    *out++ = RESULT;                                                                            \
                    if (--left == 0) { /* the next input channel */                                             \
                        left = p->multiplier;                                                                   \
                        first++;                                                                                \
                    }                                                                                           \
                }                                                                                               \
            }                                                                                                   \
        }                                                                                                       \
    }

DEPTHWISE(tl_depthwise_conv_s8, tl_depthwise_conv_s8, int8_t, int8_t, int32_t, p->channels[c].bias,
          sum + (*x - p->zero_in) * *w,
          tl_clamp_s8(tl_requantise(sum, &p->channels[c], p->channels[c].general), p->low, p->high))
DEPTHWISE(tl_depthwise_conv_s16, tl_depthwise_conv_s16, int16_t, int8_t, int64_t, p->channels[c].bias, sum + *x * *w,
          (int16_t)tl_clamp(tl_requantise_wide(sum, &p->channels[c]), p->low, p->high))
static DEPTHWISE(multiplied_f32, tl_depthwise_conv_f32, float, float, float, p->bias[c], tl_fma(*x, *w, sum),
          tl_clampf(sum, p->low, p->high))

/* sum[c] += x[c] * w[c] */
static inline void add_tap(const float *x, const float *w, uint32_t n, float *sum)
{
#ifdef TL_HELIUM_FLOAT
    for (int32_t left = (int32_t)n; left > 0; left -= 4, x += 4, w += 4, sum += 4) {
        const mve_pred16_t real = vctp32q((uint32_t)left);
        vst1q_p_f32(sum, vfmaq_f32(vld1q_z_f32(sum, real), vld1q_z_f32(x, real), vld1q_z_f32(w, real)), real);
    }
#else
#pragma GCC unroll 4
    for (uint32_t c = 0; c < n; c++)
        sum[c] = tl_fma(x[c], w[c], sum[c]);
#endif
}

/* One output channel for each input channel: tap by tap, along memory. Each sum still takes its taps in their order. */
static void along_channels_f32(const struct tl_depthwise_conv_f32 *p, const float *in, float *out)
{
    const struct tl_window *s = &p->window;
    const uint32_t n = p->in_c, row = (uint32_t)s->in_w * n;
    const int bounded = p->low > -FLT_MAX || p->high < FLT_MAX;
    for (uint32_t batch = 0; batch < p->batches; batch++, in += (uint32_t)s->in_h * row) {
        for (int32_t pixel = 0; pixel < s->out_h * s->out_w; pixel++, out += n) {
            const struct tl_taps taps = tl_taps(s, pixel);
            memcpy(out, p->bias, n * sizeof *out);
            for (int32_t i = taps.top; i < taps.bottom; i++) {
                const float *line = in + (uint32_t)(taps.y + i * s->dilation_h) * row;
                const float *weights = p->weights + (uint32_t)(i * s->filter_w) * n;
                for (int32_t j = taps.left; j < taps.right; j++)
                    add_tap(line + (uint32_t)(taps.x + j * s->dilation_w) * n, weights + (uint32_t)j * n, n, out);
            }
            for (uint32_t c = 0; bounded && c < n; c++)
                out[c] = tl_clampf(out[c], p->low, p->high);
        }
    }
}

void tl_depthwise_conv_f32(const struct tl_depthwise_conv_f32 *p, const float *in, float *out)
{
    if (p->multiplier == 1)
        along_channels_f32(p, in, out);
    else
        multiplied_f32(p, in, out);
}
