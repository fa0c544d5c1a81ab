/* SOFTMAX along the last dimension. */
#include "tinyloc_kernels.h"

/* 1 / sum as a Q0 number in (1/2, 1] and the right shift that remains; sum is in Q12 and at least 1. */
static int32_t reciprocal(int32_t sum, uint32_t *shift)
{
    const uint32_t headroom = (uint32_t)__builtin_clz((uint32_t)sum);
    *shift = 12u - headroom + 31u - 8u;
    return tl_one_over_one_plus((int32_t)(((uint32_t)sum << headroom) - ((uint32_t)1 << 31)));
}

void tl_softmax_s8(const struct tl_softmax_s8 *p, const int8_t *in, int8_t *out)
{
    const int32_t *const exp = p->exp; /* in variables, because an int8 that is written could be a part of *p */
    const uint32_t count = p->exp_count, depth = p->depth;
    for (uint32_t row = 0; row < p->rows; row++, in += depth, out += depth) {
        int32_t largest = INT8_MIN;
        for (uint32_t i = 0; i < depth; i++)
            largest = in[i] > largest ? in[i] : largest;
        int32_t sum = 0;
        for (uint32_t i = 0; i < depth; i++) {
            const uint32_t below = (uint32_t)(largest - in[i]);
            if (below < count)
                sum += (int32_t)(((uint32_t)exp[below] + (1u << 11)) >> 12);
        }
        uint32_t shift;
        const int32_t scale = reciprocal(sum, &shift);
        const uint32_t half = 1u << (shift - 1); /* the largest alone makes the sum 2^19, and the shift at least 23 */
        for (uint32_t i = 0; i < depth; i++) {
            const uint32_t below = (uint32_t)(largest - in[i]);
            const uint32_t value = below < count ? (uint32_t)tl_high_mul(scale, exp[below]) : 0;
            out[i] = (int8_t)tl_saturate_s8((int32_t)((value + half) >> shift) - 128);
        }
    }
}

/* A table's value for an int16, along the line between its neighbours. */
static int32_t looked_up(const int16_t *table, int32_t x)
{
    const int16_t *left = table + 256 + (x >> 7);
    return left[0] + (((left[1] - left[0]) * (x & 127) + 64) >> 7);
}

void tl_softmax_s16(const struct tl_softmax_s16 *p, const int16_t *in, int16_t *out)
{
    const uint32_t depth = p->depth;
    for (uint32_t row = 0; row < p->rows; row++, in += depth, out += depth) {
        int32_t largest = INT16_MIN, sum = 0;
        for (uint32_t i = 0; i < depth; i++)
            largest = in[i] > largest ? in[i] : largest;
        for (uint32_t i = 0; i < depth; i++) {
            const int32_t below = tl_rescale(in[i] - largest, &p->scale);
            out[i] = (int16_t)looked_up(p->exp, tl_saturate_s16(below + INT16_MAX));
            sum += out[i];
        }
        /* The sum as 1 + x, times a power of two, with x in [0, 1) over the range of an int16 */
        const uint32_t headroom = (uint32_t)__builtin_clz((uint32_t)sum), right = 31u - headroom;
        const int32_t shifted = (int32_t)((((uint32_t)sum << (headroom - 1)) + (1u << 13)) >> 14);
        const int32_t scale = looked_up(p->reciprocal, tl_saturate_s16(shifted - (1 << 15) - (1 << 16)));
        const int32_t half = 1 << (right - 1);
        for (uint32_t i = 0; i < depth; i++)
            out[i] = (int16_t)tl_clamp((out[i] * scale + half) >> right, 0, INT16_MAX);
    }
}

void tl_softmax_f32(const struct tl_softmax_f32 *p, const float *in, float *out)
{
    for (uint32_t row = 0; row < p->rows; row++, in += p->depth, out += p->depth) {
        float largest = in[0];
        for (uint32_t i = 1; i < p->depth; i++)
            largest = in[i] > largest ? in[i] : largest;
        float sum = 0.0f;
        for (uint32_t i = 0; i < p->depth; i++) {
            out[i] = tl_expf((in[i] - largest) * p->beta);
            sum += out[i];
        }
        for (uint32_t i = 0; i < p->depth; i++)
            out[i] /= sum;
    }
}
