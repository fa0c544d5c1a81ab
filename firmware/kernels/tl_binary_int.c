/* ADD, SUB, SQUARED_DIFFERENCE, MUL, MINIMUM, MAXIMUM, PRELU of int8 and int16. */
#include "tinyloc_kernels.h"

/* The loops are the same for every operation; EXPRESSION is in x and y, one element of each operand. VARIABLES hold
 * what it needs of *p, of which an int8 that is written could be a part. */
#define BINARY(NAME, BLOCK, TYPE, VARIABLES, EXPRESSION, AFTER_ROW)                                             \
    void NAME(const struct BLOCK *p, const TYPE *a, const TYPE *b, TYPE *out)                                   \
    {                                                                                                           \
        const uint32_t n = p->shape.dims[3], a_step = p->shape.a[3], b_step = p->shape.b[3];                    \
        struct tl_row row = {{0, 0, 0}, 0, 0};                                                                  \
        VARIABLES;                                                                                              \
        do {                                                                                                    \
            const TYPE *left = a + row.a, *right = b + row.b;                                                   \
            for (const TYPE *end = out + n; out != end; left += a_step, right += b_step) {                      \
                const int32_t x = *left, y = *right;                                                            \
                *out++ = (TYPE)(EXPRESSION);                                                                    \
            }                                                                                                   \
            AFTER_ROW;                                                                                          \
        } while (tl_next_row(&p->shape, &row));                                                                 \
    }

#define CLAMP_ROW if (p->clamped) tl_clamp_row_s8(out - n, n, p->low, p->high)
#define CLAMP_ROW_S16 if (p->clamped) tl_clamp_row_s16(out - n, n, p->low, p->high)
#define OUTPUT const struct tl_channel output = p->output
#define COMMON const struct tl_common_scale common = p->common; OUTPUT
#define ZEROS const int32_t zero_a = p->zero_a, zero_b = p->zero_b; OUTPUT
#define SCALE_A const struct tl_scale scale_a = p->scale_a; OUTPUT
#define SLOPES const struct tl_slopes slopes = p->slopes
#define REQUANTISED(VALUE) tl_requantise(VALUE, &output, output.general)
#define REQUANTISED_S16(VALUE) tl_requantise_s16(VALUE, &output, output.general)

BINARY(tl_add_s8, tl_add_int, int8_t, COMMON, REQUANTISED(tl_in_common_scale(&common, x, y)), CLAMP_ROW)
BINARY(tl_add_s16, tl_add_int, int16_t, COMMON, REQUANTISED_S16(tl_in_common_scale(&common, x, y)), CLAMP_ROW_S16)
BINARY(tl_squared_difference_s8, tl_squared_difference_s8, int8_t, COMMON,
       REQUANTISED(tl_squared(tl_in_common_scale(&common, x, y))), )
BINARY(tl_mul_s8, tl_mul_int, int8_t, ZEROS, REQUANTISED((x - zero_a) * (y - zero_b)), CLAMP_ROW)
BINARY(tl_mul_s16, tl_mul_int, int16_t, OUTPUT, REQUANTISED_S16(x * y), CLAMP_ROW_S16)
BINARY(tl_squared_difference_s16, tl_squared_difference_s16, int16_t, SCALE_A,
       REQUANTISED_S16(tl_squared(tl_halved_difference(x, y, &scale_a))), )
BINARY(tl_minimum_s8, tl_extremum_int, int8_t, , x < y ? x : y, )
BINARY(tl_maximum_s8, tl_extremum_int, int8_t, , x > y ? x : y, )
BINARY(tl_minimum_s16, tl_extremum_int, int16_t, , x < y ? x : y, )
BINARY(tl_maximum_s16, tl_extremum_int, int16_t, , x > y ? x : y, )
BINARY(tl_prelu_s8, tl_prelu_int, int8_t, SLOPES, tl_saturate_s8(tl_sloped(x, y, &slopes)), )
BINARY(tl_prelu_s16, tl_prelu_int, int16_t, SLOPES, tl_saturate_s16(tl_sloped(x, y, &slopes)), )
