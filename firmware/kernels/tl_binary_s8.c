/* ADD, SUB, SQUARED_DIFFERENCE, MUL, MINIMUM, MAXIMUM. */
#include "tinyloc_kernels.h"

/* TFLite widens the inputs of a sum by 20 bits, and those of a squared difference by 7, before it rescales them. */
enum { SUM_SHIFT = 20, DIFFERENCE_SHIFT = 7 };

static inline int32_t widened(int32_t x, int32_t zero, uint32_t shift, const struct tl_scale *scale)
{
    return tl_rounding_shift(tl_high_mul((x - zero) * (1 << shift), scale->multiplier), scale->right);
}

void tl_add_s8(const struct tl_add_s8 *p, const int8_t *a, const int8_t *b, int8_t *out)
{
    const uint32_t n = p->shape.dims[3], step = p->shape.b[3];
    struct tl_row row = {{0, 0, 0}, 0, 0};
    do {
        const int8_t *x = a + row.a, *y = b + row.b;
        int32_t right = 0;
        for (uint32_t i = 0; i < n; i++, y += step) {
            if (step || i == 0)
                right = p->sign_b * widened(*y, p->zero_b, SUM_SHIFT, &p->scale_b);
            const int32_t left = p->sign_a * widened(*x++, p->zero_a, SUM_SHIFT, &p->scale_a);
            *out++ = tl_clamp_s8(tl_rescale(left + right, &p->scale) + p->zero_out, p->low, p->high);
        }
    } while (tl_next_row(&p->shape, &row));
}

void tl_squared_difference_s8(const struct tl_squared_difference_s8 *p, const int8_t *a, const int8_t *b, int8_t *out)
{
    const uint32_t n = p->shape.dims[3], step = p->shape.b[3];
    struct tl_row row = {{0, 0, 0}, 0, 0};
    do {
        const int8_t *x = a + row.a, *y = b + row.b;
        int32_t right = 0;
        for (uint32_t i = 0; i < n; i++, y += step) {
            if (step || i == 0)
                right = widened(*y, p->zero_b, DIFFERENCE_SHIFT, &p->scale_b);
            const int32_t difference = widened(*x++, p->zero_a, DIFFERENCE_SHIFT, &p->scale_a) - right;
            const int32_t square = difference * difference;
            *out++ = tl_clamp_s8(tl_rescale(square, &p->scale) + p->zero_out, INT8_MIN, INT8_MAX);
        }
    } while (tl_next_row(&p->shape, &row));
}

void tl_mul_s8(const struct tl_mul_s8 *p, const int8_t *a, const int8_t *b, int8_t *out)
{
    const uint32_t n = p->shape.dims[3], step = p->shape.b[3];
    struct tl_row row = {{0, 0, 0}, 0, 0};
    do {
        const int8_t *x = a + row.a, *y = b + row.b;
        for (uint32_t i = 0; i < n; i++, y += step) {
            const int32_t product = (*x++ - p->zero_a) * (*y - p->zero_b);
            *out++ = tl_clamp_s8(tl_rescale(product, &p->scale) + p->zero_out, p->low, p->high);
        }
    } while (tl_next_row(&p->shape, &row));
}

void tl_minimum_s8(const struct tl_extremum_s8 *p, const int8_t *a, const int8_t *b, int8_t *out)
{
    const uint32_t n = p->shape.dims[3], step = p->shape.b[3];
    struct tl_row row = {{0, 0, 0}, 0, 0};
    do {
        const int8_t *x = a + row.a, *y = b + row.b;
        for (uint32_t i = 0; i < n; i++, x++, y += step)
            *out++ = *x < *y ? *x : *y;
    } while (tl_next_row(&p->shape, &row));
}

void tl_maximum_s8(const struct tl_extremum_s8 *p, const int8_t *a, const int8_t *b, int8_t *out)
{
    const uint32_t n = p->shape.dims[3], step = p->shape.b[3];
    struct tl_row row = {{0, 0, 0}, 0, 0};
    do {
        const int8_t *x = a + row.a, *y = b + row.b;
        for (uint32_t i = 0; i < n; i++, x++, y += step)
            *out++ = *x > *y ? *x : *y;
    } while (tl_next_row(&p->shape, &row));
}
