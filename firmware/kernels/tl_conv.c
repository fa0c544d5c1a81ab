/* CONV_2D, also in groups. A tap outside the input reads a row of zero points, so every pixel runs the same sums. */
#include "tinyloc_kernels.h"

/* Whether the taps of row i of a window at column x lie inside the input, as one run of memory. */
static int is_run(const struct tl_window *w, int32_t x)
{
    return w->dilation_w == 1 && x >= 0 && x + w->filter_w <= w->in_w;
}

static int inside(int32_t i, int32_t n)
{
    return i >= 0 && i < n;
}

/* The sums of `count` channels whose weights start at `weights`, for the window at (y, x). */
static void window_s8(const struct tl_conv_s8 *p, const int8_t *in, int32_t y, int32_t x, const int8_t *weights,
                      uint32_t count, int32_t *sum)
{
    const struct tl_window *w = &p->window;
    const uint32_t stride = (uint32_t)(w->filter_h * w->filter_w) * p->depth;
    const int whole = p->groups == 1 && is_run(w, x);
    for (int32_t i = 0; i < w->filter_h; i++, y += w->dilation_h) {
        if (whole && inside(y, w->in_h)) {
            const uint32_t n = (uint32_t)w->filter_w * p->depth;
            tl_dot_s8(in + (uint32_t)(y * w->in_w + x) * p->in_c, weights, stride, n, count, 0, sum);
            weights += n;
            continue;
        }
        for (int32_t j = 0, column = x; j < w->filter_w; j++, column += w->dilation_w, weights += p->depth) {
            const int real = inside(y, w->in_h) && inside(column, w->in_w);
            const int8_t *taps = real ? in + (uint32_t)(y * w->in_w + column) * p->in_c : p->padding;
            tl_dot_s8(taps, weights, stride, p->depth, count, 0, sum);
        }
    }
}

static int8_t *pixel_s8(const struct tl_conv_s8 *p, const int8_t *in, int32_t y, int32_t x, int8_t *out)
{
    const uint32_t group_c = p->out_c / p->groups;
    const uint32_t channel = (uint32_t)(p->window.filter_h * p->window.filter_w) * p->depth;
    const int8_t *weights = p->weights;
    const int32_t *bias = p->bias;
    const struct tl_scale *scale = p->scale;
    for (uint32_t group = 0; group < p->groups; group++, in += p->depth) {
        for (uint32_t c = 0; c < group_c; c += 4) {
            const uint32_t count = group_c - c < 4 ? group_c - c : 4;
            int32_t sum[4];
            for (uint32_t k = 0; k < count; k++)
                sum[k] = *bias++;
            window_s8(p, in, y, x, weights, count, sum);
            for (uint32_t k = 0; k < count; k++, scale += p->scale_step)
                *out++ = tl_clamp_s8(tl_rescale(sum[k], scale) + p->zero_out, p->low, p->high);
            weights += count * channel;
        }
    }
    return out;
}

void tl_conv_s8(const struct tl_conv_s8 *p, const int8_t *in, int8_t *out)
{
    const struct tl_window *w = &p->window;
    for (uint32_t batch = 0; batch < p->batches; batch++, in += (uint32_t)(w->in_h * w->in_w) * p->in_c)
        for (int32_t y = 0; y < w->out_h; y++)
            for (int32_t x = 0; x < w->out_w; x++)
                out = pixel_s8(p, in, y * w->stride_h - w->pad_top, x * w->stride_w - w->pad_left, out);
}

static void window_f32(const struct tl_conv_f32 *p, const float *in, int32_t y, int32_t x, const float *weights,
                       uint32_t count, float *sum)
{
    const struct tl_window *w = &p->window;
    const uint32_t stride = (uint32_t)(w->filter_h * w->filter_w) * p->depth;
    const int whole = p->groups == 1 && is_run(w, x);
    for (int32_t i = 0; i < w->filter_h; i++, y += w->dilation_h) {
        if (whole && inside(y, w->in_h)) {
            const uint32_t n = (uint32_t)w->filter_w * p->depth;
            tl_dot_f32(in + (uint32_t)(y * w->in_w + x) * p->in_c, weights, stride, n, count, sum);
            weights += n;
            continue;
        }
        for (int32_t j = 0, column = x; j < w->filter_w; j++, column += w->dilation_w, weights += p->depth) {
            const int real = inside(y, w->in_h) && inside(column, w->in_w);
            const float *taps = real ? in + (uint32_t)(y * w->in_w + column) * p->in_c : p->padding;
            tl_dot_f32(taps, weights, stride, p->depth, count, sum);
        }
    }
}

static float *pixel_f32(const struct tl_conv_f32 *p, const float *in, int32_t y, int32_t x, float *out)
{
    const uint32_t group_c = p->out_c / p->groups;
    const uint32_t channel = (uint32_t)(p->window.filter_h * p->window.filter_w) * p->depth;
    const float *weights = p->weights;
    const float *bias = p->bias;
    for (uint32_t group = 0; group < p->groups; group++, in += p->depth) {
        for (uint32_t c = 0; c < group_c; c += 4) {
            const uint32_t count = group_c - c < 4 ? group_c - c : 4;
            float sum[4];
            for (uint32_t k = 0; k < count; k++)
                sum[k] = *bias++;
            window_f32(p, in, y, x, weights, count, sum);
            for (uint32_t k = 0; k < count; k++)
                *out++ = tl_clampf(sum[k], p->low, p->high);
            weights += count * channel;
        }
    }
    return out;
}

void tl_conv_f32(const struct tl_conv_f32 *p, const float *in, float *out)
{
    const struct tl_window *w = &p->window;
    for (uint32_t batch = 0; batch < p->batches; batch++, in += (uint32_t)(w->in_h * w->in_w) * p->in_c)
        for (int32_t y = 0; y < w->out_h; y++)
            for (int32_t x = 0; x < w->out_w; x++)
                out = pixel_f32(p, in, y * w->stride_h - w->pad_top, x * w->stride_w - w->pad_left, out);
}
