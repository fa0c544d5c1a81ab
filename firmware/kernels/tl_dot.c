/* Sums of float products: four at a time, so that each input is loaded once for four weights.
 *
 * Every sum adds its products in the order of the inputs, so the result does not depend on the blocking.
 */
#include <float.h>

#include "tinyloc_kernels.h"

#ifdef TL_HELIUM_FLOAT

#include <arm_mve.h>

/* Four units, one in each lane, so that every sum keeps its order; Helium takes numbers below the smallest normal one for
 * zero. Inlined, so that nothing is gathered where `step` is 1. */
static inline void four(const float *x, const float *w, uint32_t step, uint32_t stride, uint32_t n, float *sum)
{
    const uint32x4_t places = vmulq_n_u32(vidupq_n_u32(0, 1), step);
    float32x4_t s = vld1q_f32(sum);
    for (; n > 0; n--, w += stride)
        s = vfmaq_n_f32(s, step == 1 ? vld1q_f32(w) : vldrwq_gather_shifted_offset_f32(w, places), *x++);
    vst1q_f32(sum, s);
}

#else

/* Four units; inlined, so that a constant `step` or `stride` becomes a part of the addresses. */
static inline void four(const float *x, const float *w, uint32_t step, uint32_t stride, uint32_t n, float *sum)
{
    const float *w1 = w + step, *w2 = w1 + step, *w3 = w2 + step;
    float s0 = sum[0], s1 = sum[1], s2 = sum[2], s3 = sum[3];
#pragma GCC unroll 4
    for (uint32_t i = n; i > 0; i--) {
        const float value = *x++;
        s0 = tl_fma(value, *w, s0);
        s1 = tl_fma(value, *w1, s1);
        s2 = tl_fma(value, *w2, s2);
        s3 = tl_fma(value, *w3, s3);
        w += stride;
        w1 += stride;
        w2 += stride;
        w3 += stride;
    }
    sum[0] = s0;
    sum[1] = s1;
    sum[2] = s2;
    sum[3] = s3;
}

#endif

void tl_dot_f32(const float *x, const float *w, uint32_t step, uint32_t stride, uint32_t n, uint32_t count, float *sum)
{
    if (count == 4 && stride == 1) {
        four(x, w, step, 1, n, sum);
    } else if (count == 4 && step == 1) {
        four(x, w, 1, stride, n, sum);
    } else {
        for (uint32_t k = 0; k < count; k++, w += step) {
            float s = sum[k];
            for (uint32_t i = 0; i < n; i++)
                s = tl_fma(x[i], w[i * stride], s);
            sum[k] = s;
        }
    }
}

void tl_units_f32(const float *x, const float *w, const float *bias, uint32_t depth, uint32_t units, float low,
                  float high, float *out)
{
    const uint32_t whole = units & ~3u;
    for (uint32_t u = 0; u < whole; u += 4, w += 4 * depth) {
        float sum[4] = {bias[u], bias[u + 1], bias[u + 2], bias[u + 3]};
        four(x, w, depth, 1, depth, sum);
        out[u] = sum[0];
        out[u + 1] = sum[1];
        out[u + 2] = sum[2];
        out[u + 3] = sum[3];
    }
    for (uint32_t u = whole; u < units; u++, w += depth) {
        out[u] = bias[u];
        tl_dot_f32(x, w, 0, 1, depth, 1, out + u);
    }
    if (low > -FLT_MAX || high < FLT_MAX)
        for (uint32_t u = 0; u < units; u++)
            out[u] = tl_clampf(out[u], low, high);
}
