/* BATCH_MATMUL. */
#include "tinyloc_kernels.h"

/* sum (a - zero_a)(b - zero_b) = sum (a - zero_a) b - zero_b * sum (a - zero_a): the last sum belongs to the row. */
static void product_s8(const struct tl_matmul_s8 *p, const int8_t *a, const uint32_t *b, int8_t *out, uint32_t *wide)
{
    const uint32_t depth = p->columns.depth, columns = p->columns.units;
    for (uint32_t left = p->batch.rows; left > 0;) {
        const uint32_t rows = left < 2 ? 1 : 2;
        int32_t bias[2] = {0, 0};
        for (uint32_t r = 0; r < rows; r++, a += depth) {
            tl_widen_s8(a, depth, -p->zero_a, wide + 2 * r, rows);
            if (p->zero_b)
                bias[r] = -p->zero_b * tl_sum_wide(wide + 2 * r, depth, rows, -p->zero_a);
        }
        tl_units_s8(&p->columns, b, wide, rows, bias, out, columns);
        out += rows * columns;
        left -= rows;
    }
}

void tl_matmul_s8(const struct tl_matmul_s8 *p, const int8_t *a, const int8_t *b, int8_t *out, void *scratch)
{
    const struct tl_batch *n = &p->batch;
    const uint32_t depth = p->columns.depth, columns = p->columns.units;
    uint32_t *wide = scratch, *packed = wide + 4 * TL_GROUPS(depth);
    for (uint32_t o = 0; o < n->outer; o++)
        for (uint32_t i = 0; i < n->inner; i++, out += n->rows * columns) {
            const uint32_t step = n->b_transposed ? depth : 1, stride = n->b_transposed ? 1 : columns;
            tl_pack_units(b + o * n->b_outer + i * n->b_inner, step, stride, columns, depth, packed);
            product_s8(p, a + o * n->a_outer + i * n->a_inner, packed, out, wide);
        }
}

static int16_t *product_s16(const struct tl_matmul_s16 *p, const int16_t *a, const int16_t *b, int16_t *out)
{
    const uint32_t step = p->batch.b_transposed ? p->depth : 1, stride = p->batch.b_transposed ? 1 : p->columns;
    for (uint32_t r = 0; r < p->batch.rows; r++, a += p->depth) {
        for (uint32_t c = 0; c < p->columns; c++) {
            const int16_t *y = b + c * step;
            int64_t sum = 0;
            for (uint32_t i = 0; i < p->depth; i++, y += stride)
                sum += a[i] * *y;
            *out++ = tl_requantise_wide(sum, &p->output, INT16_MIN, INT16_MAX);
        }
    }
    return out;
}

static float *product_f32(const struct tl_matmul_f32 *p, const float *a, const float *b, float *out)
{
    const uint32_t step = p->batch.b_transposed ? p->depth : 1, stride = p->batch.b_transposed ? 1 : p->columns;
    for (uint32_t r = 0; r < p->batch.rows; r++, a += p->depth) {
        for (uint32_t c = 0; c < p->columns; c += 4) {
            const uint32_t count = p->columns - c < 4 ? p->columns - c : 4;
            float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
            tl_dot_f32(a, b + c * step, step, stride, p->depth, count, sum);
            for (uint32_t k = 0; k < count; k++)
                *out++ = sum[k];
        }
    }
    return out;
}

#define MATMUL(NAME, BLOCK, TYPE, PRODUCT)                                                                      \
    void NAME(const struct BLOCK *p, const TYPE *a, const TYPE *b, TYPE *out)                                   \
    {                                                                                                           \
        const struct tl_batch *n = &p->batch;                                                                   \
        for (uint32_t o = 0; o < n->outer; o++)                                                                 \
            for (uint32_t i = 0; i < n->inner; i++)                                                             \
                out = PRODUCT(p, a + o * n->a_outer + i * n->a_inner, b + o * n->b_outer + i * n->b_inner, out); \
    }

MATMUL(tl_matmul_s16, tl_matmul_s16, int16_t, product_s16)
MATMUL(tl_matmul_f32, tl_matmul_f32, float, product_f32)
