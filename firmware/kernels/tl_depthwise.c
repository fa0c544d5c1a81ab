/* DEPTHWISE_CONV_2D. */
#include "tinyloc_kernels.h"

void tl_depthwise_conv_s8(const struct tl_depthwise_conv_s8 *p, const int8_t *in, int8_t *out)
{
    const struct tl_window *w = &p->window;
    const uint32_t out_c = p->in_c * p->multiplier;
    for (uint32_t batch = 0; batch < p->batches; batch++, in += (uint32_t)(w->in_h * w->in_w) * p->in_c) {
        for (int32_t pixel = 0; pixel < w->out_h * w->out_w; pixel++) {
            const struct tl_taps taps = tl_taps(w, pixel);
            for (uint32_t c = 0; c < out_c; c++) {
                const struct tl_channel *channel = &p->channels[c];
                int32_t sum = channel->bias;
                for (int32_t i = taps.top; i < taps.bottom; i++) {
                    for (int32_t j = taps.left; j < taps.right; j++) {
                        const int32_t at = (taps.y + i * w->dilation_h) * w->in_w + taps.x + j * w->dilation_w;
                        sum += (in[(uint32_t)at * p->in_c + c / p->multiplier] - p->zero_in) *
                               p->weights[(uint32_t)(i * w->filter_w + j) * out_c + c];
                    }
                }
                *out++ = tl_clamp_s8(tl_requantise(sum, channel, channel->general), p->low, p->high);
            }
        }
    }
}

void tl_depthwise_conv_f32(const struct tl_depthwise_conv_f32 *p, const float *in, float *out)
{
    const struct tl_window *w = &p->window;
    const uint32_t out_c = p->in_c * p->multiplier;
    for (uint32_t batch = 0; batch < p->batches; batch++, in += (uint32_t)(w->in_h * w->in_w) * p->in_c) {
        for (int32_t pixel = 0; pixel < w->out_h * w->out_w; pixel++) {
            const struct tl_taps taps = tl_taps(w, pixel);
            for (uint32_t c = 0; c < out_c; c++) {
                float sum = p->bias[c];
                for (int32_t i = taps.top; i < taps.bottom; i++) {
                    for (int32_t j = taps.left; j < taps.right; j++) {
                        const int32_t at = (taps.y + i * w->dilation_h) * w->in_w + taps.x + j * w->dilation_w;
                        sum += in[(uint32_t)at * p->in_c + c / p->multiplier] *
                               p->weights[(uint32_t)(i * w->filter_w + j) * out_c + c];
                    }
                }
                *out++ = tl_clampf(sum, p->low, p->high);
            }
        }
    }
}
