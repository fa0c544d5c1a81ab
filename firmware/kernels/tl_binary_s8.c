/* ADD, SUB, SQUARED_DIFFERENCE, MUL, MINIMUM, MAXIMUM. */
#include "tinyloc_kernels.h"

static inline int32_t in_common_scale(const struct tl_common_scale *p, int32_t a, int32_t b)
{
    const int32_t scaled = tl_high_mul30((a - p->zero_a) * (int32_t)(1u << p->shift), p->multiplier);
    const int32_t rounded = (scaled + (scaled >> 31) + p->half) >> p->right;
    return (b - p->zero_b) * p->weight_b + p->sign_a * rounded;
}

static inline int32_t squared(int32_t x)
{
    return x * x;
}

/* The loops are the same for every operation; EXPRESSION is in x and y, one element of each operand. VARIABLES hold
 * what it needs of *p, of which an int8 that is written could be a part. */
#define BINARY(NAME, BLOCK, VARIABLES, EXPRESSION, AFTER_ROW)                                                   \
    void NAME(const struct BLOCK *p, const int8_t *a, const int8_t *b, int8_t *out)                             \
    {                                                                                                           \
        const uint32_t n = p->shape.dims[3], a_step = p->shape.a[3], b_step = p->shape.b[3];                    \
        struct tl_row row = {{0, 0, 0}, 0, 0};                                                                  \
        VARIABLES;                                                                                              \
        do {                                                                                                    \
            const int8_t *left = a + row.a, *right = b + row.b;                                                 \
            for (const int8_t *end = out + n; out != end; left += a_step, right += b_step) {                    \
                const int32_t x = *left, y = *right;                                                            \
                *out++ = (int8_t)(EXPRESSION);                                                                  \
            }                                                                                                   \
            AFTER_ROW;                                                                                          \
        } while (tl_next_row(&p->shape, &row));                                                                 \
    }

#define CLAMP_ROW if (p->clamped) tl_clamp_row_s8(out - n, n, p->low, p->high)
#define OUTPUT const struct tl_channel output = p->output
#define COMMON const struct tl_common_scale common = p->common; OUTPUT
#define ZEROS const int32_t zero_a = p->zero_a, zero_b = p->zero_b; OUTPUT
#define REQUANTISED(VALUE) tl_requantise(VALUE, &output, output.general)

BINARY(tl_add_s8, tl_add_s8, COMMON, REQUANTISED(in_common_scale(&common, x, y)), CLAMP_ROW)
BINARY(tl_squared_difference_s8, tl_squared_difference_s8, COMMON,
       REQUANTISED(squared(in_common_scale(&common, x, y))), )
BINARY(tl_mul_s8, tl_mul_s8, ZEROS, REQUANTISED((x - zero_a) * (y - zero_b)), CLAMP_ROW)
BINARY(tl_minimum_s8, tl_extremum_s8, , x < y ? x : y, )
BINARY(tl_maximum_s8, tl_extremum_s8, , x > y ? x : y, )
