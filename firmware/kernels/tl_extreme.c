/* REDUCE_MAX, REDUCE_MIN, ARG_MAX, ARG_MIN. */
#include "tinyloc_kernels.h"

#define EXTREME(NAME, TYPE, RELATION)                                                                           \
    void NAME(const struct tl_extreme *p, const TYPE *in, TYPE *out)                                            \
    {                                                                                                           \
        const struct tl_reduction *s = &p->shape;                                                               \
        for (uint32_t i = 0; i < s->kept[0]; i++) {                                                             \
            for (uint32_t j = 0; j < s->kept[1]; j++) {                                                         \
                const TYPE *first = in + i * s->kept_step[0] + j * s->kept_step[1];                             \
                TYPE found = *first;                                                                            \
                for (uint32_t k = 0; k < s->summed[0]; k++, first += s->summed_step[0]) {                       \
                    const TYPE *x = first;                                                                      \
                    for (uint32_t l = 0; l < s->summed[1]; l++, x += s->summed_step[1])                         \
                        found = *x RELATION found ? *x : found;                                                 \
                }                                                                                               \
                *out++ = found;                                                                                 \
            }                                                                                                   \
        }                                                                                                       \
    }

EXTREME(tl_largest_s8, int8_t, >)
EXTREME(tl_largest_f32, float, >)
EXTREME(tl_smallest_s8, int8_t, <)
EXTREME(tl_smallest_f32, float, <)

#define ARG(NAME, TYPE, RELATION)                                                                               \
    void NAME(const struct tl_arg *p, const TYPE *in, int32_t *out)                                             \
    {                                                                                                           \
        for (uint32_t i = 0; i < p->outer; i++, in += p->depth * p->inner) {                                    \
            for (uint32_t j = 0; j < p->inner; j++) {                                                           \
                uint32_t found = 0;                                                                             \
                for (uint32_t k = 1; k < p->depth; k++)                                                         \
                    if (in[k * p->inner + j] RELATION in[found * p->inner + j])                                 \
                        found = k;                                                                              \
                *out++ = (int32_t)found;                                                                        \
            }                                                                                                   \
        }                                                                                                       \
    }

ARG(tl_arg_largest_s8, int8_t, >)
ARG(tl_arg_largest_f32, float, >)
ARG(tl_arg_smallest_s8, int8_t, <)
ARG(tl_arg_smallest_f32, float, <)
