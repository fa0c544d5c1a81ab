/* tinyloc kernels: one function per operator and element type, called by the code that `tinyloc compile` emits.
 *
 * Conventions
 * - Every kernel takes a constant parameter block (in flash), its inputs and its output. No heap, no recursion, no
 *   global state. Tensors are dense and row-major; an image is [height][width][channels].
 * - Integer kernels (_s8) give TFLite Micro's answers bit for bit. What can be computed at compile time (zero-point
 *   corrections, tables, collapsed shapes) is in the parameter block.
 * - Float kernels (_f32) use their own exp, tanh and log, so that host and target agree; build with
 *   -ffp-contract=off. See tl_math.c.
 * - An output may lie where an input lies only in kernels that say so.
 */
#ifndef TINYLOC_KERNELS_H
#define TINYLOC_KERNELS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- fixed point (gemmlowp's definitions) ---- */

/* A positive real factor: (multiplier / 2^31) * 2^(left - right); one of left and right is 0. */
struct tl_scale {
    int32_t multiplier;
    uint8_t left;
    uint8_t right;
};

/* round(a b / 2^31), ties upwards; a and b are not both INT32_MIN. */
static inline int32_t tl_high_mul(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/* x / 2^n rounded to nearest, ties away from zero; n < 32. */
static inline int32_t tl_rounding_shift(int32_t x, uint32_t n)
{
    const int32_t mask = (int32_t)(((uint32_t)1 << n) - 1u);
    const int32_t threshold = (mask >> 1) + (x < 0);
    return (x >> n) + ((x & mask) > threshold);
}

/* TFLite's MultiplyByQuantizedMultiplier, with its two roundings. */
static inline int32_t tl_rescale(int32_t x, const struct tl_scale *scale)
{
    const int32_t shifted = (int32_t)((uint32_t)x << scale->left);
    return tl_rounding_shift(tl_high_mul(shifted, scale->multiplier), scale->right);
}

static inline int8_t tl_clamp_s8(int32_t x, int32_t low, int32_t high)
{
    return (int8_t)(x < low ? low : x > high ? high : x);
}

/* ---- sums of products (tl_dot.c): where integer matrix work spends its time ---- */

/* sum[r] += sum over i < n of (x[i] + offset) * w[r * stride + i], for r < rows <= 4. */
void tl_dot_s8(const int8_t *x, const int8_t *w, uint32_t stride, uint32_t n, uint32_t rows, int32_t offset,
               int32_t *sum);

/* ---- dense and convolution ---- */

/* out[r][u] = clamp(rescale(bias[u] + sum over i of in[r][i] * weights[u][i]) + zero_out).
 * The bias includes the correction -zero_in * sum of weights[u]. */
struct tl_fully_connected_s8 {
    uint32_t rows, depth, units;
    const int8_t *weights;        /* [units][depth] */
    const int32_t *bias;          /* [units] */
    const struct tl_scale *scale; /* [1] or [units] */
    uint32_t scale_step;          /* 0: one scale for all units; 1: one each */
    int32_t zero_out, low, high;
};
void tl_fully_connected_s8(const struct tl_fully_connected_s8 *p, const int8_t *in, int8_t *out);

#ifdef __cplusplus
}
#endif

#endif
