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
        /* The output's scale is 1/128: seven more bits. */
        const struct tl_scale scale = tl_inverse_sqrt(sum);
        const uint32_t left = scale.right < 7 ? 7u - scale.right : 0, right = scale.right < 7 ? 0 : scale.right - 7u;
        const int32_t half = right ? 1 << (right - 1) : 0, ties = right ? -1 : 0;
        for (uint32_t i = 0; i < depth; i++) {
            const int32_t scaled = tl_high_mul30((*in++ - zero) * (1 << left), scale.multiplier);
            *out++ = (int8_t)tl_saturate_s8((scaled + ((scaled >> 31) & ties) + half) >> right);
        }
    }
}

void tl_l2_normalization_f32(const struct tl_l2_normalization_f32 *p, const float *in, float *out)
{
    const float epsilon = 1e-6f; /* TFLite's */
    for (uint32_t row = 0; row < p->rows; row++) {
        float sum = 0.0f;
        for (uint32_t i = 0; i < p->depth; i++)
            sum += in[i] * in[i];
        const float root = sqrtf(sum);
        const float norm = root > epsilon ? root : epsilon;
        for (uint32_t i = 0; i < p->depth; i++)
            *out++ = *in++ / norm;
    }
}
