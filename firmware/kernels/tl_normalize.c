/* L2_NORMALIZATION along the last dimension. */
#include "tinyloc_kernels.h"

void tl_l2_normalization_s8(const struct tl_l2_normalization_s8 *p, const int8_t *in, int8_t *out)
{
    for (uint32_t row = 0; row < p->rows; row++) {
        int32_t sum = 0;
        for (uint32_t i = 0; i < p->depth; i++) {
            const int32_t x = in[i] - p->zero_in;
            sum += x * x;
        }
        /* The output's scale is 1/128: seven more bits. */
        struct tl_scale scale = tl_inverse_sqrt(sum);
        scale.left = (uint8_t)(scale.right < 7 ? 7 - scale.right : 0);
        scale.right = (uint8_t)(scale.right < 7 ? 0 : scale.right - 7);
        for (uint32_t i = 0; i < p->depth; i++)
            *out++ = tl_clamp_s8(tl_rescale(*in++ - p->zero_in, &scale), INT8_MIN, INT8_MAX);
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
