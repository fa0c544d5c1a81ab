/* CONV_2D, also in groups: the taps of a window side by side are a row, and the output channels are its units. */
#include <string.h>

#include "tinyloc_kernels.h"

static int inside(int32_t i, int32_t n)
{
    return i >= 0 && i < n;
}

/* Whether the taps of the window at (y, x) lie in the input as one run of memory. */
static int is_run(const struct tl_convolution *p, int32_t y, int32_t x)
{
    const struct tl_window *w = &p->window;
    const int row = p->groups == 1 && w->dilation_w == 1 && x >= 0 && x + w->filter_w <= w->in_w;
    return row && w->filter_h == 1 && inside(y, w->in_h);
}

/* The taps of the window at (y, x) in one group, side by side: in the input if they lie so, or else copied to `taps`.
 * A tap outside the input reads the padding. `item` is the size of an element. */
static const void *taps_of(const struct tl_convolution *p, const void *padding, const void *in, int32_t y, int32_t x,
                           uint32_t item, void *taps)
{
    const struct tl_window *w = &p->window;
    const uint32_t pixel = p->in_c * item, run = p->depth * item;
    const uint8_t *from = in;
    uint8_t *to = taps;
    if (is_run(p, y, x))
        return from + (uint32_t)(y * w->in_w + x) * pixel;
    for (int32_t i = 0; i < w->filter_h; i++, y += w->dilation_h) {
        for (int32_t j = 0, column = x; j < w->filter_w; j++, column += w->dilation_w, to += run) {
            const int real = inside(y, w->in_h) && inside(column, w->in_w);
            memcpy(to, real ? from + (uint32_t)(y * w->in_w + column) * pixel : padding, run);
        }
    }
    return taps;
}

static uint32_t pixels(const struct tl_convolution *p)
{
    return p->batches * (uint32_t)(p->window.out_h * p->window.out_w);
}

/* Those of an output pixel; pixels are counted through all batches. */
static const void *window_taps(const struct tl_convolution *p, const void *padding, const void *in, uint32_t pixel,
                               uint32_t item, void *taps)
{
    const struct tl_window *w = &p->window;
    const uint32_t row = pixel / (uint32_t)w->out_w, batch = row / (uint32_t)w->out_h;
    const int32_t y = (int32_t)(row - batch * (uint32_t)w->out_h) * w->stride_h - w->pad_top;
    const int32_t x = (int32_t)(pixel - row * (uint32_t)w->out_w) * w->stride_w - w->pad_left;
    const uint8_t *image = (const uint8_t *)in + batch * (uint32_t)(w->in_h * w->in_w) * p->in_c * item;
    return taps_of(p, padding, image, y, x, item, taps);
}

static inline __attribute__((always_inline)) void conv(const struct tl_conv_s8 *p, const int8_t *in, int8_t *out, void *scratch,
                        tl_units_function *store)
{
    static const int32_t no_bias[2];
    const struct tl_convolution *s = &p->shape;
    struct tl_units group = p->units;
    const uint32_t length = group.depth, count = pixels(s);
    const uint32_t *weights = p->weights;
    uint32_t *wide = scratch;
    int8_t *taps = (int8_t *)(wide + 4 * TL_GROUPS(length));
    for (uint32_t g = 0; g < s->groups; g++) {
        for (uint32_t pixel = 0; pixel < count; pixel += 2) {
            const uint32_t rows = count - pixel < 2 ? 1 : 2;
            for (uint32_t r = 0; r < rows; r++)
                tl_widen_s8(window_taps(s, p->padding, in, pixel + r, 1, taps), length, 0, wide + 2 * r, rows);
            store(&group, weights, wide, rows, no_bias, out + pixel * s->out_step, s->out_step);
        }
        in += s->depth;
        out += group.units;
        weights += (group.units + 1) / 2 * 2 * TL_GROUPS(length);
        group.channels += group.units;
    }
}

void tl_conv_s8(const struct tl_conv_s8 *p, const int8_t *in, int8_t *out, void *scratch)
{
    conv(p, in, out, scratch, tl_units_s8);
}

void tl_conv_table_s8(const struct tl_conv_s8 *p, const int8_t *in, int8_t *out, void *scratch)
{
    conv(p, in, out, scratch, tl_units_table_s8);
}

void tl_conv_s16(const struct tl_conv_s16 *p, const int16_t *in, int16_t *out, void *scratch)
{
    const struct tl_convolution *s = &p->shape;
    const uint32_t count = pixels(s), units = p->units.units;
    const uint32_t packed = (units + 3) / 4 * 4 * TL_GROUPS(p->units.depth);
    for (uint32_t pixel = 0; pixel < count; pixel++) {
        struct tl_units_s16 group = p->units;
        int16_t *to = out + pixel * s->out_step;
        for (uint32_t g = 0; g < s->groups; g++, to += units, group.channels += units) {
            const int16_t *x = window_taps(s, p->padding, in + g * s->depth, pixel, sizeof *x, scratch);
            tl_units_s16(&group, p->weights + g * packed, x, to);
        }
    }
}

void tl_conv_f32(const struct tl_conv_f32 *p, const float *in, float *out, void *scratch)
{
    const struct tl_convolution *s = &p->shape;
    const uint32_t count = pixels(s), units = s->out_c / s->groups;
    const uint32_t length = (uint32_t)(s->window.filter_h * s->window.filter_w) * s->depth;
    for (uint32_t pixel = 0; pixel < count; pixel++) {
        float *to = out + pixel * s->out_step;
        for (uint32_t g = 0; g < s->groups; g++, to += units) {
            const float *x = window_taps(s, p->padding, in + g * s->depth, pixel, sizeof *x, scratch);
            const float *weights = p->weights + g * units * length;
            tl_units_f32(x, weights, p->bias + g * units, length, units, p->low, p->high, to);
        }
    }
}
