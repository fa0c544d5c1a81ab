/* Sums of int8 products: four rows at a time, so that each input is loaded once for four weights. */
#include "tinyloc_kernels.h"

static void dot4(const int8_t *x, const int8_t *w, uint32_t stride, uint32_t n, int32_t offset, int32_t *sum)
{
    const int8_t *w0 = w, *w1 = w + stride, *w2 = w1 + stride, *w3 = w2 + stride;
    int32_t s0 = sum[0], s1 = sum[1], s2 = sum[2], s3 = sum[3];
    for (const int8_t *end = x + n; x != end;) {
        const int32_t value = *x++ + offset;
        s0 += value * *w0++;
        s1 += value * *w1++;
        s2 += value * *w2++;
        s3 += value * *w3++;
    }
    sum[0] = s0;
    sum[1] = s1;
    sum[2] = s2;
    sum[3] = s3;
}

static int32_t dot1(const int8_t *x, const int8_t *w, uint32_t n, int32_t offset)
{
    int32_t sum = 0;
    for (const int8_t *end = x + n; x != end;)
        sum += (*x++ + offset) * *w++;
    return sum;
}

void tl_dot_s8(const int8_t *x, const int8_t *w, uint32_t stride, uint32_t n, uint32_t rows, int32_t offset,
               int32_t *sum)
{
    if (rows == 4) {
        dot4(x, w, stride, n, offset, sum);
        return;
    }
    for (uint32_t r = 0; r < rows; r++)
        sum[r] += dot1(x, w + r * stride, n, offset);
}
