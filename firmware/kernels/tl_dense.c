/* FULLY_CONNECTED. */
#include "tinyloc_kernels.h"

void tl_fully_connected_s8(const struct tl_fully_connected_s8 *p, const int8_t *in, int8_t *out)
{
    for (uint32_t row = 0; row < p->rows; row++, in += p->depth) {
        const int8_t *weights = p->weights;
        const struct tl_scale *scale = p->scale;
        for (uint32_t u = 0; u < p->units; u += 4) {
            const uint32_t count = p->units - u < 4 ? p->units - u : 4;
            int32_t sum[4];
            for (uint32_t k = 0; k < count; k++)
                sum[k] = p->bias[u + k];
            tl_dot_s8(in, weights, p->depth, p->depth, count, 0, sum);
            for (uint32_t k = 0; k < count; k++, scale += p->scale_step)
                *out++ = tl_clamp_s8(tl_rescale(sum[k], scale) + p->zero_out, p->low, p->high);
            weights += 4 * p->depth;
        }
    }
}

void tl_fully_connected_f32(const struct tl_fully_connected_f32 *p, const float *in, float *out)
{
    for (uint32_t row = 0; row < p->rows; row++, in += p->depth) {
        const float *weights = p->weights;
        for (uint32_t u = 0; u < p->units; u += 4) {
            const uint32_t count = p->units - u < 4 ? p->units - u : 4;
            float sum[4];
            for (uint32_t k = 0; k < count; k++)
                sum[k] = p->bias[u + k];
            tl_dot_f32(in, weights, p->depth, p->depth, count, sum);
            for (uint32_t k = 0; k < count; k++)
                *out++ = tl_clampf(sum[k], p->low, p->high);
            weights += 4 * p->depth;
        }
    }
}
