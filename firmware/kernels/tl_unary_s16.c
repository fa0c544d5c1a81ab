/* LOGISTIC, TANH, RSQRT of int16. */
#include "tinyloc_kernels.h"

#define LAST 255u /* of the table */

/* The table at |x|, `bits` of which are a fraction, along the line between its neighbours; `end` from the last on. */
static uint32_t interpolated(const uint16_t *table, uint32_t x, uint32_t bits, uint32_t end)
{
    const uint32_t whole = x >> bits, part = x & ((1u << bits) - 1u);
    if (whole >= LAST)
        return end << bits;
    return ((uint32_t)table[whole] << bits) + part * (uint32_t)(table[whole + 1] - table[whole]);
}

/* An input in the units of the table. */
static int32_t scaled(const struct tl_sigmoid_s16 *p, int32_t x)
{
    const int32_t half = p->right ? 1 << (p->right - 1) : 0;
    return (x * p->multiplier + half) >> p->right;
}

static uint32_t magnitude(int32_t x)
{
    return (uint32_t)(x < 0 ? -x : x);
}

int32_t tl_logistic_of_s16(int32_t value, const struct tl_sigmoid_s16 *p)
{
    const int32_t x = scaled(p, value);
    const uint32_t y = interpolated(p->table, magnitude(x), 9, 0xfffe); /* in (1/2, 1], 25 fractional bits */
    return (int32_t)((x >= 0 ? y + (1u << 9) : (1u << 25) - y + (1u << 9) - 1u) >> 10);
}

int32_t tl_tanh_of_s16(int32_t value, const struct tl_sigmoid_s16 *p)
{
    const int32_t middle = 1 << 23, half = 1 << 7; /* tanh is twice what the logistic is more than 1/2 */
    const int32_t x = scaled(p, value);
    const int32_t y = (int32_t)interpolated(p->table, magnitude(x), 8, 0xffff);
    return (x >= 0 ? y - middle + half : middle - y + half - 1) >> 8;
}

int32_t tl_rsqrt_of_s16(int32_t x, const struct tl_scale *scale)
{
    if (x <= 0)
        return INT16_MAX;
    struct tl_scale root = tl_inverse_sqrt(x);
    root.left = (uint8_t)(20 - root.right); /* an int16 makes its shift to the right at most 11 */
    root.right = 0;
    return tl_saturate_s16(tl_rescale(tl_rescale(1, &root), scale));
}

void tl_logistic_s16(const struct tl_sigmoid_s16 *p, const int16_t *in, int16_t *out)
{
    for (const int16_t *end = in + p->count; in != end;)
        *out++ = (int16_t)tl_logistic_of_s16(*in++, p);
}

void tl_tanh_s16(const struct tl_sigmoid_s16 *p, const int16_t *in, int16_t *out)
{
    for (const int16_t *end = in + p->count; in != end;)
        *out++ = (int16_t)tl_tanh_of_s16(*in++, p);
}

void tl_rsqrt_s16(const struct tl_rsqrt_s16 *p, const int16_t *in, int16_t *out)
{
    for (const int16_t *end = in + p->count; in != end;)
        *out++ = (int16_t)tl_rsqrt_of_s16(*in++, &p->scale);
}
