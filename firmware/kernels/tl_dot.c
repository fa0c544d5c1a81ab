/* Sums of float products: four at a time, so that each input is loaded once for four weights.
 *
 * Every sum adds its products in the order of the inputs, so the result does not depend on the blocking.
 */
#include "tinyloc_kernels.h"

/* sum[k] += sum over i < n of x[i] * w[k * step + i * stride], for k < count; `count` is a constant where it is 4. */
static inline void dot(const float *x, const float *w, uint32_t step, uint32_t stride, uint32_t n, uint32_t count,
                       float *sum)
{
    for (const float *end = x + n; x != end; w += stride) {
        const float value = *x++;
        for (uint32_t k = 0; k < count; k++)
            sum[k] += value * w[k * step];
    }
}

void tl_dot_f32(const float *x, const float *w, uint32_t step, uint32_t stride, uint32_t n, uint32_t count, float *sum)
{
    float s[4] = {sum[0], sum[1], sum[2], sum[3]};
    if (count == 4)
        dot(x, w, step, stride, n, 4, s);
    else
        for (uint32_t k = 0; k < count; k++)
            dot(x, w + k * step, 0, stride, n, 1, s + k);
    for (uint32_t k = 0; k < count; k++)
        sum[k] = s[k];
}

void tl_units_f32(const float *x, const float *w, const float *bias, uint32_t depth, uint32_t units, float low,
                  float high, float *out)
{
    for (uint32_t u = 0; u < units; u += 4, w += 4 * depth) {
        const uint32_t count = units - u < 4 ? units - u : 4;
        float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        for (uint32_t k = 0; k < count; k++)
            sum[k] = bias[u + k];
        tl_dot_f32(x, w, depth, 1, depth, count, sum);
        for (uint32_t k = 0; k < count; k++)
            *out++ = tl_clampf(sum[k], low, high);
    }
}
