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
