/* MEAN and SUM. */
#include "tinyloc_kernels.h"

#define SUM(NAME, TYPE, SATURATE)                                                                               \
    void NAME(const struct tl_sum_int *p, const TYPE *in, TYPE *out)                                            \
    {                                                                                                           \
        const struct tl_reduction *s = &p->shape;                                                               \
        for (uint32_t i = 0; i < s->kept[0]; i++) {                                                             \
            for (uint32_t j = 0; j < s->kept[1]; j++) {                                                         \
                const TYPE *first = in + i * s->kept_step[0] + j * s->kept_step[1];                             \
                int32_t sum = -p->offset;                                                                       \
                for (uint32_t k = 0; k < s->summed[0]; k++, first += s->summed_step[0]) {                       \
                    const TYPE *x = first;                                                                      \
                    for (uint32_t l = 0; l < s->summed[1]; l++, x += s->summed_step[1])                         \
                        sum += *x;                                                                              \
                }                                                                                               \
                *out++ = (TYPE)SATURATE(tl_rescale(sum, &p->scale) + p->zero_out);                              \
            }                                                                                                   \
        }                                                                                                       \
    }

SUM(tl_sum_s8, int8_t, tl_saturate_s8)
SUM(tl_sum_s16, int16_t, tl_saturate_s16)

void tl_sum_f32(const struct tl_sum_f32 *p, const float *in, float *out)
{
    const struct tl_reduction *s = &p->shape;
    for (uint32_t i = 0; i < s->kept[0]; i++) {
        for (uint32_t j = 0; j < s->kept[1]; j++) {
            const float *first = in + i * s->kept_step[0] + j * s->kept_step[1];
            float sum = 0.0f;
            for (uint32_t k = 0; k < s->summed[0]; k++, first += s->summed_step[0]) {
                const float *x = first;
                for (uint32_t l = 0; l < s->summed[1]; l++, x += s->summed_step[1])
                    sum += *x;
            }
            *out++ = sum / p->divisor;
        }
    }
}
