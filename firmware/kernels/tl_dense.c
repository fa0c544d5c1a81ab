/* FULLY_CONNECTED. */
#include "tinyloc_kernels.h"

static inline __attribute__((always_inline)) void fully_connected(const struct tl_fully_connected_s8 *p, const int8_t *in, int8_t *out, void *scratch,
                                   tl_units_function *store)
{
    static const int32_t no_bias[2];
    const uint32_t depth = p->units.depth;
    uint32_t *wide = scratch;
    for (uint32_t left = p->rows; left > 0;) {
        const uint32_t rows = left < 2 ? 1 : 2;
        for (uint32_t r = 0; r < rows; r++, in += depth)
            tl_widen_s8(in, depth, 0, wide + 2 * r, rows);
        store(&p->units, p->weights, wide, rows, no_bias, out, p->out_step);
        out += rows * p->out_step;
        left -= rows;
    }
}

void tl_fully_connected_s8(const struct tl_fully_connected_s8 *p, const int8_t *in, int8_t *out, void *scratch)
{
    fully_connected(p, in, out, scratch, tl_units_s8);
}

void tl_fully_connected_table_s8(const struct tl_fully_connected_s8 *p, const int8_t *in, int8_t *out, void *scratch)
{
    fully_connected(p, in, out, scratch, tl_units_table_s8);
}

void tl_fully_connected_s16(const struct tl_fully_connected_s16 *p, const int16_t *in, int16_t *out)
{
    for (uint32_t row = 0; row < p->rows; row++, in += p->units.depth, out += p->out_step)
        tl_units_s16(&p->units, p->weights, in, out);
}

void tl_fully_connected_f32(const struct tl_fully_connected_f32 *p, const float *in, float *out)
{
    for (uint32_t row = 0; row < p->rows; row++, in += p->depth, out += p->out_step)
        tl_units_f32(in, p->weights, p->bias, p->depth, p->units, p->low, p->high, out);
}
