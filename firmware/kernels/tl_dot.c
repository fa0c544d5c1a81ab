/* Sums of products: four rows at a time, so that each input is loaded once for four weights. */
#include "tinyloc_kernels.h"

static void dot4_s8(const int8_t *x, const int8_t *w, uint32_t stride, uint32_t n, int32_t offset, int32_t *sum)
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

void tl_dot_s8(const int8_t *x, const int8_t *w, uint32_t stride, uint32_t n, uint32_t rows, int32_t offset,
               int32_t *sum)
{
    if (rows == 4) {
        dot4_s8(x, w, stride, n, offset, sum);
        return;
    }
    for (uint32_t r = 0; r < rows; r++, w += stride) {
        int32_t s = sum[r];
        for (uint32_t i = 0; i < n; i++)
            s += (x[i] + offset) * w[i];
        sum[r] = s;
    }
}

static void dot4_f32(const float *x, const float *w, uint32_t stride, uint32_t n, float *sum)
{
    const float *w0 = w, *w1 = w + stride, *w2 = w1 + stride, *w3 = w2 + stride;
    float s0 = sum[0], s1 = sum[1], s2 = sum[2], s3 = sum[3];
    for (const float *end = x + n; x != end;) {
        const float value = *x++;
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

void tl_dot_f32(const float *x, const float *w, uint32_t stride, uint32_t n, uint32_t rows, float *sum)
{
    if (rows == 4) {
        dot4_f32(x, w, stride, n, sum);
        return;
    }
    for (uint32_t r = 0; r < rows; r++, w += stride) {
        float s = sum[r];
        for (uint32_t i = 0; i < n; i++)
            s += x[i] * w[i];
        sum[r] = s;
    }
}

static void columns4_s8(const int8_t *x, const int8_t *w, uint32_t stride, uint32_t n, int32_t offset, int32_t *sum)
{
    int32_t s0 = sum[0], s1 = sum[1], s2 = sum[2], s3 = sum[3];
    for (const int8_t *end = x + n; x != end; w += stride) {
        const int32_t value = *x++ + offset;
        s0 += value * w[0];
        s1 += value * w[1];
        s2 += value * w[2];
        s3 += value * w[3];
    }
    sum[0] = s0;
    sum[1] = s1;
    sum[2] = s2;
    sum[3] = s3;
}

void tl_dot_columns_s8(const int8_t *x, const int8_t *w, uint32_t stride, uint32_t n, uint32_t columns,
                       int32_t offset, int32_t *sum)
{
    if (columns == 4) {
        columns4_s8(x, w, stride, n, offset, sum);
        return;
    }
    for (uint32_t c = 0; c < columns; c++) {
        int32_t s = sum[c];
        for (uint32_t i = 0; i < n; i++)
            s += (x[i] + offset) * w[i * stride + c];
        sum[c] = s;
    }
}

static void columns4_f32(const float *x, const float *w, uint32_t stride, uint32_t n, float *sum)
{
    float s0 = sum[0], s1 = sum[1], s2 = sum[2], s3 = sum[3];
    for (const float *end = x + n; x != end; w += stride) {
        const float value = *x++;
        s0 += value * w[0];
        s1 += value * w[1];
        s2 += value * w[2];
        s3 += value * w[3];
    }
    sum[0] = s0;
    sum[1] = s1;
    sum[2] = s2;
    sum[3] = s3;
}

void tl_dot_columns_f32(const float *x, const float *w, uint32_t stride, uint32_t n, uint32_t columns, float *sum)
{
    if (columns == 4) {
        columns4_f32(x, w, stride, n, sum);
        return;
    }
    for (uint32_t c = 0; c < columns; c++) {
        float s = sum[c];
        for (uint32_t i = 0; i < n; i++)
            s += x[i] * w[i * stride + c];
        sum[c] = s;
    }
}
