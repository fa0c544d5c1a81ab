/* Moving elements: TRANSPOSE, PAD, CONCATENATION, PACK, and slices that are not one stretch of memory. */
#include <string.h>

#include "tinyloc_kernels.h"

#define MOVE(NAME, TYPE)                                                                                        \
    static void row_##NAME(const TYPE *in, TYPE *out, uint32_t n, uint32_t in_step, uint32_t out_step)          \
    {                                                                                                           \
        if (in_step == 1 && out_step == 1) {                                                                    \
            memcpy(out, in, n * sizeof(TYPE));                                                                  \
            return;                                                                                             \
        }                                                                                                       \
        for (uint32_t i = 0; i < n; i++, in += in_step, out += out_step)                                        \
            *out = *in;                                                                                         \
    }                                                                                                           \
                                                                                                                \
    void NAME(const struct tl_move *p, const TYPE *in, TYPE *out)                                               \
    {                                                                                                           \
        const uint32_t *n = p->dims, *f = p->in, *t = p->out;                                                   \
        for (uint32_t i = 0; i < n[0]; i++)                                                                     \
            for (uint32_t j = 0; j < n[1]; j++)                                                                 \
                for (uint32_t k = 0; k < n[2]; k++)                                                             \
                    for (uint32_t l = 0; l < n[3]; l++)                                                         \
                        row_##NAME(in + i * f[0] + j * f[1] + k * f[2] + l * f[3],                              \
                                   out + i * t[0] + j * t[1] + k * t[2] + l * t[3], n[4], f[4], t[4]);          \
    }

MOVE(tl_move_s8, int8_t)
MOVE(tl_move_s16, int16_t)
MOVE(tl_move_f32, float)

void tl_fill_s8(const struct tl_fill_s8 *p, int8_t *out)
{
    memset(out, p->value, p->count);
}

#define FILL(NAME, TYPE)                                                                                        \
    void NAME(const struct NAME *p, TYPE *out)                                                                  \
    {                                                                                                           \
        for (const TYPE *end = out + p->count; out != end;)                                                     \
            *out++ = p->value;                                                                                  \
    }

FILL(tl_fill_s16, int16_t)
FILL(tl_fill_f32, float)
