/* MAX_POOL_2D and AVERAGE_POOL_2D. */
#include "tinyloc_kernels.h"

void tl_max_pool_s8(const struct tl_pool_s8 *p, const int8_t *in, int8_t *out)
{
    const struct tl_window *w = &p->window;
    for (uint32_t batch = 0; batch < p->batches; batch++, in += (uint32_t)(w->in_h * w->in_w) * p->channels) {
        for (int32_t pixel = 0; pixel < w->out_h * w->out_w; pixel++) {
            const struct tl_taps taps = tl_taps(w, pixel);
            for (uint32_t c = 0; c < p->channels; c++) {
                int32_t largest = INT8_MIN;
                for (int32_t i = taps.top; i < taps.bottom; i++) {
                    const int8_t *tap = in + (uint32_t)((taps.y + i) * w->in_w + taps.x + taps.left) * p->channels + c;
                    for (int32_t j = taps.left; j < taps.right; j++, tap += p->channels)
                        largest = *tap > largest ? *tap : largest;
                }
                *out++ = tl_clamp_s8(largest, p->low, p->high);
            }
        }
    }
}

/* Rounded to nearest, ties away from zero, as TFLite does it. */
static int32_t rounded_quotient(int32_t sum, int32_t count)
{
    return (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
}

void tl_average_pool_s8(const struct tl_pool_s8 *p, const int8_t *in, int8_t *out)
{
    const struct tl_window *w = &p->window;
    for (uint32_t batch = 0; batch < p->batches; batch++, in += (uint32_t)(w->in_h * w->in_w) * p->channels) {
        for (int32_t pixel = 0; pixel < w->out_h * w->out_w; pixel++) {
            const struct tl_taps taps = tl_taps(w, pixel);
            const int32_t count = (taps.bottom - taps.top) * (taps.right - taps.left);
            for (uint32_t c = 0; c < p->channels; c++) {
                int32_t sum = 0;
                for (int32_t i = taps.top; i < taps.bottom; i++) {
                    const int8_t *tap = in + (uint32_t)((taps.y + i) * w->in_w + taps.x + taps.left) * p->channels + c;
                    for (int32_t j = taps.left; j < taps.right; j++, tap += p->channels)
                        sum += *tap;
                }
                *out++ = tl_clamp_s8(rounded_quotient(sum, count), p->low, p->high);
            }
        }
    }
}

void tl_max_pool_f32(const struct tl_pool_f32 *p, const float *in, float *out)
{
    const struct tl_window *w = &p->window;
    for (uint32_t batch = 0; batch < p->batches; batch++, in += (uint32_t)(w->in_h * w->in_w) * p->channels) {
        for (int32_t pixel = 0; pixel < w->out_h * w->out_w; pixel++) {
            const struct tl_taps taps = tl_taps(w, pixel);
            for (uint32_t c = 0; c < p->channels; c++) {
                float largest = p->low;
                for (int32_t i = taps.top; i < taps.bottom; i++) {
                    const float *tap = in + (uint32_t)((taps.y + i) * w->in_w + taps.x + taps.left) * p->channels + c;
                    for (int32_t j = taps.left; j < taps.right; j++, tap += p->channels)
                        largest = *tap > largest ? *tap : largest;
                }
                *out++ = tl_clampf(largest, p->low, p->high);
            }
        }
    }
}

void tl_average_pool_f32(const struct tl_pool_f32 *p, const float *in, float *out)
{
    const struct tl_window *w = &p->window;
    for (uint32_t batch = 0; batch < p->batches; batch++, in += (uint32_t)(w->in_h * w->in_w) * p->channels) {
        for (int32_t pixel = 0; pixel < w->out_h * w->out_w; pixel++) {
            const struct tl_taps taps = tl_taps(w, pixel);
            const float count = (float)((taps.bottom - taps.top) * (taps.right - taps.left));
            for (uint32_t c = 0; c < p->channels; c++) {
                float sum = 0.0f;
                for (int32_t i = taps.top; i < taps.bottom; i++) {
                    const float *tap = in + (uint32_t)((taps.y + i) * w->in_w + taps.x + taps.left) * p->channels + c;
                    for (int32_t j = taps.left; j < taps.right; j++, tap += p->channels)
                        sum += *tap;
                }
                *out++ = tl_clampf(sum / count, p->low, p->high);
            }
        }
    }
}
