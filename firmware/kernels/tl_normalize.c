/* L2_NORMALIZATION along the last dimension. */
#include "tinyloc_kernels.h"

void tl_l2_normalization_s8(const struct tl_l2_normalization_s8 *p, const int8_t *in, int8_t *out)
{
    const int32_t zero = p->zero_in; /* in variables, because an int8 that is written could be a part of *p */
    const uint32_t depth = p->depth;
    for (uint32_t row = 0; row < p->rows; row++) {
        int32_t sum = 0;
        for (uint32_t i = 0; i < depth; i++)
            sum += (in[i] - zero) * (in[i] - zero);
        const struct tl_direction direction = tl_direction(sum);
        for (uint32_t i = 0; i < depth; i++)
            *out++ = (int8_t)tl_directed(*in++ - zero, &direction);
    }
}

void tl_l2_normalization_f32(const struct tl_l2_normalization_f32 *p, const float *in, float *out)
{
    for (uint32_t row = 0; row < p->rows; row++) {
        float sum = 0.0f;
        for (uint32_t i = 0; i < p->depth; i++)
            sum += in[i] * in[i];
        const float norm = tl_norm(sum);
        for (uint32_t i = 0; i < p->depth; i++)
            *out++ = *in++ / norm;
    }
}
