/* ADD, SUB, MUL, DIV, SQUARED_DIFFERENCE, MINIMUM, MAXIMUM, PRELU. */
#include "tinyloc_kernels.h"

/* The loops are the same for every operation; EXPRESSION is in x and y, one element of each operand. */
#define BINARY(NAME, EXPRESSION)                                                                                \
    void NAME(const struct tl_binary_f32 *p, const float *a, const float *b, float *out)                        \
    {                                                                                                           \
        const uint32_t n = p->shape.dims[3], a_step = p->shape.a[3], b_step = p->shape.b[3];                    \
        struct tl_row row = {{0, 0, 0}, 0, 0};                                                                  \
        do {                                                                                                    \
            const float *left = a + row.a, *right = b + row.b;                                                  \
            for (const float *end = out + n; out != end; left += a_step, right += b_step) {                     \
                const float x = *left, y = *right;                                                              \
                *out++ = EXPRESSION;                                                                            \
            }                                                                                                   \
            for (float *x = out - n; p->clamped && x != out; x++)                                               \
                *x = tl_clampf(*x, p->low, p->high);                                                            \
        } while (tl_next_row(&p->shape, &row));                                                                 \
    }

BINARY(tl_add_f32, x + y)
BINARY(tl_sub_f32, x - y)
BINARY(tl_mul_f32, x * y)
BINARY(tl_div_f32, x / y)
BINARY(tl_squared_difference_f32, (x - y) * (x - y))
BINARY(tl_minimum_f32, x < y ? x : y)
BINARY(tl_maximum_f32, x > y ? x : y)
BINARY(tl_prelu_f32, x >= 0.0f ? x : x * y)
