/* BATCH_MATMUL. */
#include "tinyloc_kernels.h"

static int32_t centred_sum(const int8_t *x, uint32_t n, int32_t zero)
{
    int32_t sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += x[i] - zero;
    return sum;
}

/* sum (a - zero_a)(b - zero_b) = sum (a - zero_a) b - zero_b * sum (a - zero_a): the last sum belongs to the row. */
static int8_t *product_s8(const struct tl_matmul_s8 *p, const int8_t *a, const int8_t *b, int8_t *out)
{
    for (uint32_t r = 0; r < p->rows; r++, a += p->depth) {
        const int32_t correction = -p->zero_b * centred_sum(a, p->depth, p->zero_a);
        for (uint32_t c = 0; c < p->columns; c += 4) {
            const uint32_t count = p->columns - c < 4 ? p->columns - c : 4;
            int32_t sum[4] = {correction, correction, correction, correction};
            if (p->b_transposed)
                tl_dot_s8(a, b + c * p->depth, p->depth, p->depth, count, -p->zero_a, sum);
            else
                tl_dot_columns_s8(a, b + c, p->columns, p->depth, count, -p->zero_a, sum);
            for (uint32_t k = 0; k < count; k++)
                *out++ = tl_clamp_s8(tl_rescale(sum[k], &p->scale) + p->zero_out, INT8_MIN, INT8_MAX);
        }
    }
    return out;
}

void tl_matmul_s8(const struct tl_matmul_s8 *p, const int8_t *a, const int8_t *b, int8_t *out)
{
    for (uint32_t o = 0; o < p->outer; o++)
        for (uint32_t i = 0; i < p->inner; i++)
            out = product_s8(p, a + o * p->a_outer + i * p->a_inner, b + o * p->b_outer + i * p->b_inner, out);
}

static float *product_f32(const struct tl_matmul_f32 *p, const float *a, const float *b, float *out)
{
    for (uint32_t r = 0; r < p->rows; r++, a += p->depth) {
        for (uint32_t c = 0; c < p->columns; c += 4) {
            const uint32_t count = p->columns - c < 4 ? p->columns - c : 4;
            float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
            if (p->b_transposed)
                tl_dot_f32(a, b + c * p->depth, p->depth, p->depth, count, sum);
            else
                tl_dot_columns_f32(a, b + c, p->columns, p->depth, count, sum);
            for (uint32_t k = 0; k < count; k++)
                *out++ = sum[k];
        }
    }
    return out;
}

void tl_matmul_f32(const struct tl_matmul_f32 *p, const float *a, const float *b, float *out)
{
    for (uint32_t o = 0; o < p->outer; o++)
        for (uint32_t i = 0; i < p->inner; i++)
            out = product_f32(p, a + o * p->a_outer + i * p->a_inner, b + o * p->b_outer + i * p->b_inner, out);
}
