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

/* sum += a[i] * b[i * step], for i < n */
static inline int64_t dot_one(const int16_t *a, const int16_t *b, uint32_t step, uint32_t n, int64_t sum)
{
    for (; n > 0; n--, b += step)
        sum += *a++ * *b;
    return sum;
}

#ifdef TL_HELIUM

#include <arm_mve.h>

#define FARTHEST (UINT16_MAX / 7u) /* elements between neighbours of a column that can be gathered */

/* Eight elements of a column, of which the first ones are real. */
static inline int16x8_t load_eight(const int16_t *b, uint32_t step, uint16x8_t places, mve_pred16_t real)
{
    return step == 1 ? vld1q_z_s16(b, real) : vldrhq_gather_shifted_offset_z_s16(b, places, real);
}

/* Of one column or two, which share what is loaded of a; inlined, so that what is constant costs nothing. */
static inline __attribute__((always_inline)) void dot_eight(const int16_t *a, const int16_t *b, uint32_t across,
                                                            uint32_t step, uint32_t n, uint32_t count, int64_t sum[2])
{
    const uint16x8_t places = vmulq_n_u16(vidupq_n_u16(0, 1), (uint16_t)step);
    int64_t first = 0, second = 0;
    for (int32_t left = (int32_t)n; left > 0; left -= 8, a += 8, b += 8 * step) {
        const mve_pred16_t real = vctp16q((uint32_t)left);
        const int16x8_t x = vld1q_z_s16(a, real);
        first = vmlaldavaq_s16(first, x, load_eight(b, step, places, real));
        if (count == 2)
            second = vmlaldavaq_s16(second, x, load_eight(b + across, step, places, real));
    }
    sum[0] = first;
    sum[1] = second;
}

/* sum[c] = the products of a with column c of `count` <= 2: they are `across` elements apart, their elements `step`.
 * Inlined, it would leave too few registers to its loops; so would those of the DSP extension. */
static __attribute__((noinline)) void dot_columns(const int16_t *a, const int16_t *b, uint32_t across, uint32_t step,
                                                  uint32_t n, uint32_t count, int64_t sum[2])
{
    if (step > FARTHEST) {
        for (uint32_t c = 0; c < count; c++)
            sum[c] = dot_one(a, b + c * across, step, n, 0);
    } else if (step == 1) {
        dot_eight(a, b, across, 1, n, count, sum);
    } else {
        dot_eight(a, b, across, step, n, count, sum);
    }
}

#else

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

/* Of two columns `across` elements apart, whose own elements are neighbours. */
static __attribute__((noinline)) void dot_along(const int16_t *a, const int16_t *b, uint32_t across, uint32_t n,
                                                int64_t sum[2])
{
    int64_t first = 0, second = 0;
    for (; n >= 2; n -= 2, a += 2, b += 2) {
        const uint32_t x = load_pair(a);
        first = add_pair(first, x, load_pair(b));
        second = add_pair(second, x, load_pair(b + across));
    }
    sum[0] = dot_one(a, b, 1, n, first);
    sum[1] = dot_one(a, b + across, 1, n, second);
}

/* Of two columns beside one another, in rows `step` apart. */
static __attribute__((noinline)) void dot_beside(const int16_t *a, const int16_t *b, uint32_t step, uint32_t n,
                                                 int64_t sum[2])
{
    int64_t first = 0, second = 0;
    for (; n >= 2; n -= 2, a += 2, b += 2 * step) {
        const uint32_t x = load_pair(a), upper = load_pair(b), lower = load_pair(b + step);
        uint32_t y;
        __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(y) : "r"(upper), "r"(lower));
        first = add_pair(first, x, y);
        __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(y) : "r"(lower), "r"(upper));
        second = add_pair(second, x, y);
    }
    sum[0] = dot_one(a, b, step, n, first);
    sum[1] = dot_one(a, b + 1, step, n, second);
}

#endif

/* sum[c] = the products of a with column c of `count` <= 2: they are `across` elements apart, their elements `step`. */
static void dot_columns(const int16_t *a, const int16_t *b, uint32_t across, uint32_t step, uint32_t n, uint32_t count,
                        int64_t sum[2])
{
#ifdef __ARM_FEATURE_DSP
    if (step == 1) {
        dot_along(a, b, count == 2 ? across : 0, n, sum);
        return;
    }
    if (count == 2 && across == 1) {
        dot_beside(a, b, step, n, sum);
        return;
    }
#endif
    for (uint32_t c = 0; c < count; c++)
        sum[c] = dot_one(a, b + c * across, step, n, 0);
}

#endif

static int16_t *product_s16(const struct tl_matmul_s16 *p, const int16_t *a, const int16_t *b, int16_t *out)
{
    const uint32_t across = p->batch.b_column;
    for (uint32_t r = 0; r < p->batch.rows; r++, a += p->batch.a_row) {
        for (uint32_t c = 0; c < p->columns; c += 2) {
            const uint32_t count = p->columns - c < 2 ? 1 : 2;
            int64_t sum[2];
            dot_columns(a, b + c * across, across, p->batch.b_row, p->depth, count, sum);
            for (uint32_t i = 0; i < count; i++)
                *out++ = (int16_t)tl_requantise_wide(sum[i], &p->output);
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
