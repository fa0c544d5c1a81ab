/* MAX_POOL_2D and AVERAGE_POOL_2D. */
#include "tinyloc_kernels.h"

static inline int32_t inside(const struct tl_taps *taps)
{
    return (taps->bottom - taps->top) * (taps->right - taps->left);
}

/* Rounded to nearest, ties away from zero, as TFLite does it. */
static inline int32_t rounded_quotient(int32_t sum, int32_t count)
{
    return (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
}

/* The loops are the same for every pool: `value` begins as START and takes in each `*tap` inside the input by TAKE. */
#define POOL(NAME, BLOCK, TYPE, VALUE, START, TAKE, RESULT)                                                     \
    void NAME(const struct BLOCK *p, const TYPE *in, TYPE *out)                                                 \
    {                                                                                                           \
        const struct tl_window *w = &p->window;                                                                 \
        for (uint32_t batch = 0; batch < p->batches; batch++, in += (uint32_t)(w->in_h * w->in_w) * p->channels) \
            for (int32_t pixel = 0; pixel < w->out_h * w->out_w; pixel++) {                                     \
                const struct tl_taps taps = tl_taps(w, pixel);                                                  \
                for (uint32_t c = 0; c < p->channels; c++) {                                                    \
                    VALUE value = START;                                                                        \
                    for (int32_t i = taps.top; i < taps.bottom; i++) {                                          \
                        const TYPE *tap =                                                                       \
                            in + (uint32_t)((taps.y + i) * w->in_w + taps.x + taps.left) * p->channels + c;     \
                        for (int32_t j = taps.left; j < taps.right; j++, tap += p->channels)                    \
                            value = TAKE;                                                                       \
                    }                                                                                           \
                    *out++ = (TYPE)RESULT;                                                                      \
                }                                                                                               \
            }                                                                                                   \
    }

#define LARGER (*tap > value ? *tap : value)
#define SUM (value + *tap)
#define CLAMPED tl_clamp(value, p->low, p->high)
#define MEAN tl_clamp(rounded_quotient(value, inside(&taps)), p->low, p->high)

POOL(tl_max_pool_s8, tl_pool_int, int8_t, int32_t, INT8_MIN, LARGER, CLAMPED)
POOL(tl_max_pool_s16, tl_pool_int, int16_t, int32_t, INT16_MIN, LARGER, CLAMPED)
POOL(tl_max_pool_f32, tl_pool_f32, float, float, p->low, LARGER, tl_clampf(value, p->low, p->high))
POOL(tl_average_pool_s8, tl_pool_int, int8_t, int32_t, 0, SUM, MEAN)
POOL(tl_average_pool_s16, tl_pool_int, int16_t, int32_t, 0, SUM, MEAN)
POOL(tl_average_pool_f32, tl_pool_f32, float, float, 0.0f, SUM,
     tl_clampf(value / (float)inside(&taps), p->low, p->high))
