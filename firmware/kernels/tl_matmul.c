/* BATCH_MATMUL. */
#include <string.h>

#include "tinyloc_kernels.h"

/* sum (a - zero_a)(b - zero_b) = sum (a - zero_a) b - zero_b * sum (a - zero_a): the last sum belongs to the row. */
static inline __attribute__((always_inline)) void product_s8(const struct tl_matmul_s8 *p, const int8_t *a, const uint32_t *b, int8_t *out,
                              uint32_t *wide, tl_units_function *store)
{
    const uint32_t depth = p->columns.depth, columns = p->columns.units;
    for (uint32_t left = p->batch.rows; left > 0;) {
        const uint32_t rows = left < 2 ? 1 : 2;
        int32_t bias[2] = {0, 0};
        for (uint32_t r = 0; r < rows; r++, a += p->batch.a_row) {
            tl_widen_s8(a, depth, -p->zero_a, wide + 2 * r, rows);
            if (p->zero_b)
                bias[r] = -p->zero_b * tl_sum_wide(wide + 2 * r, depth, rows, -p->zero_a);
        }
        store(&p->columns, b, wide, rows, bias, out, columns);
        out += rows * columns;
        left -= rows;
    }
}

static inline __attribute__((always_inline)) void matmul(const struct tl_matmul_s8 *p, const int8_t *a, const int8_t *b, int8_t *out, void *scratch,
                          tl_units_function *store)
{
    const struct tl_batch *n = &p->batch;
    const uint32_t depth = p->columns.depth, columns = p->columns.units;
    uint32_t *wide = scratch, *packed = wide + 4 * TL_GROUPS(depth);
    for (uint32_t o = 0; o < n->outer; o++)
        for (uint32_t i = 0; i < n->inner; i++, out += n->rows * columns) {
            tl_pack_units(b + o * n->b_outer + i * n->b_inner, n->b_column, n->b_row, columns, depth, packed);
            product_s8(p, a + o * n->a_outer + i * n->a_inner, packed, out, wide, store);
        }
}

void tl_matmul_s8(const struct tl_matmul_s8 *p, const int8_t *a, const int8_t *b, int8_t *out, void *scratch)
{
    matmul(p, a, b, out, scratch, tl_units_s8);
}

void tl_matmul_table_s8(const struct tl_matmul_s8 *p, const int8_t *a, const int8_t *b, int8_t *out, void *scratch)
{
    matmul(p, a, b, out, scratch, tl_units_table_s8);
}

#ifdef __ARM_FEATURE_DSP

static inline uint32_t load_pair(const int16_t *x)
{
    uint32_t pair;
    memcpy(&pair, x, sizeof pair);
    return pair;
}

static inline int64_t add_pair(int64_t sum, uint32_t x, uint32_t y)
{
    __asm__("smlald %Q0, %R0, %1, %2" : "+r"(sum) : "r"(x), "r"(y));
    return sum;
}

#endif

/* sum += a[i] * b[i * step], for i < n */
static void dot_s16(const int16_t *a, const int16_t *b, uint32_t step, uint32_t n, int64_t *sum)
{
    int64_t total = *sum;
#ifdef __ARM_FEATURE_DSP
    if (step == 1)
        for (; n >= 2; n -= 2, a += 2, b += 2)
            total = add_pair(total, load_pair(a), load_pair(b));
#endif
    for (; n > 0; n--, b += step)
        total += *a++ * *b;
    *sum = total;
}

/* The same for two columns beside one another, in rows `step` apart. */
static void dot_columns_s16(const int16_t *a, const int16_t *b, uint32_t step, uint32_t n, int64_t sum[2])
{
#ifdef __ARM_FEATURE_DSP
    int64_t left = 0, right = 0;
    for (; n >= 2; n -= 2, a += 2) {
        const uint32_t x = load_pair(a), upper = load_pair(b), lower = load_pair(b + step);
        uint32_t y;
        __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(y) : "r"(upper), "r"(lower));
        left = add_pair(left, x, y);
        __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(y) : "r"(lower), "r"(upper));
        right = add_pair(right, x, y);
        b += 2 * step;
    }
    sum[0] = left;
    sum[1] = right;
#endif
    dot_s16(a, b, step, n, &sum[0]);
    dot_s16(a, b + 1, step, n, &sum[1]);
}

static int16_t *product_s16(const struct tl_matmul_s16 *p, const int16_t *a, const int16_t *b, int16_t *out)
{
    const uint32_t step = p->batch.b_column, stride = p->batch.b_row;
    for (uint32_t r = 0; r < p->batch.rows; r++, a += p->batch.a_row) {
        const int16_t *column = b;
        for (uint32_t left = p->columns; left > 0;) {
            const uint32_t count = step == 1 && left > 1 ? 2 : 1;
            int64_t sum[2] = {0, 0};
            if (count == 2)
                dot_columns_s16(a, column, stride, p->depth, sum);
            else
                dot_s16(a, column, stride, p->depth, sum);
            for (uint32_t i = 0; i < count; i++, column += step)
                *out++ = tl_requantise_wide(sum[i], &p->output, INT16_MIN, INT16_MAX);
            left -= count;
        }
    }
    return out;
}

static float *product_f32(const struct tl_matmul_f32 *p, const float *a, const float *b, float *out)
{
    const uint32_t step = p->batch.b_column, stride = p->batch.b_row;
    for (uint32_t r = 0; r < p->batch.rows; r++, a += p->batch.a_row) {
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
