/* tinyloc kernels: one function per operator and element type, called by the code that `tinyloc compile` emits.
 *
 * Conventions
 * - Every kernel takes a constant parameter block (in flash), its inputs and its output. No heap, no recursion, no
 *   global state. Tensors are dense and row-major; an image is [height][width][channels].
 * - Integer kernels (_s8, and _s16: int16 activations, whose zero point is 0, and int8 weights) give TFLite Micro's
 *   answers bit for bit. What can be computed at compile time (zero-point corrections, tables, collapsed shapes) is in
 *   the parameter block.
 * - Float kernels (_f32) use their own exp, tanh and log, and say themselves where a multiplication and an addition
 *   are one operation (tl_fma), so that host and target agree; build with -ffp-contract=off. See tl_math.c. Helium's
 *   lanes keep the order of every sum; they take what lies below the smallest normal number for zero.
 * - An output may lie where an input lies only in kernels that say so.
 */
#ifndef TINYLOC_KERNELS_H
#define TINYLOC_KERNELS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Helium's integers, and its floats: files that use them include <arm_mve.h>, which takes a compiler long to read. */
#ifdef __ARM_FEATURE_MVE
#if __ARM_FEATURE_MVE & 1
#define TL_HELIUM
#endif
#if __ARM_FEATURE_MVE & 2
#define TL_HELIUM_FLOAT
#endif
#endif

/* Of a function in the model's own file, which is compiled as if it stood in a file of its own. Its frame then lies on the
 * stack below no other call of the run, and its calls stay: GCC 12 clones such a function for the addresses it is given,
 * takes the clone for one without effects (ipa-pure-const and ipa-modref agree) and drops the call. */
#ifdef __clang__
#define TL_APART __attribute__((noinline))
#else
#define TL_APART __attribute__((noipa))
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

/* round(a b / 2^32), ties upwards: one instruction where there is a DSP extension. */
static inline int32_t tl_high_word(int32_t a, int32_t b)
{
#ifdef __ARM_FEATURE_DSP
    int32_t high;
    __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(a), "r"(b));
    return high;
#else
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 31)) >> 32);
#endif
}

/* tl_high_mul for |a| < 2^30 */
static inline int32_t tl_high_mul30(int32_t a, int32_t b)
{
    return tl_high_word(a * 2, b);
}

/* An int32, as is tl_requantise: as an int8 it would be extended once more before it is stored. */
static inline int32_t tl_saturate_s8(int32_t x)
{
#ifdef __ARM_FEATURE_SAT
    __asm__("ssat %0, #8, %1" : "=r"(x) : "r"(x));
    return x;
#else
    return x < INT8_MIN ? INT8_MIN : x > INT8_MAX ? INT8_MAX : x;
#endif
}

static inline int32_t tl_saturate_s16(int32_t x)
{
#ifdef __ARM_FEATURE_SAT
    __asm__("ssat %0, #16, %1" : "=r"(x) : "r"(x));
    return x;
#else
    return x < INT16_MIN ? INT16_MIN : x > INT16_MAX ? INT16_MAX : x;
#endif
}

static inline int32_t tl_clamp(int32_t x, int32_t low, int32_t high)
{
    return x < low ? low : x > high ? high : x;
}

static inline int8_t tl_clamp_s8(int32_t x, int32_t low, int32_t high)
{
    return (int8_t)tl_clamp(x, low, high);
}

static inline float tl_clampf(float x, float low, float high)
{
    return x < low ? low : x > high ? high : x;
}

/* How a 32-bit sum becomes an integer: bias + sum, times the factor, plus the zero point, saturated. */
struct tl_channel {
    int32_t bias; /* where the sum starts */
    int32_t multiplier;
    int32_t offset; /* half a unit of the result, and the zero point, before the shift to the right */
    uint8_t left, right;
    int8_t zero;
    uint8_t general; /* 1: left is not 0, right is 0, or the sum may reach 2^30 */
};

/* tl_rescale with its two roundings, ties of the second away from zero, and the zero point. `general` is the same for
 * all channels of a call, so that a loop may read it once. */
static inline int32_t tl_unsaturated(int32_t sum, const struct tl_channel *c, uint32_t general)
{
    if (general) {
        const struct tl_scale scale = {c->multiplier, c->left, c->right};
        return tl_rescale(sum, &scale) + c->zero;
    }
    const int32_t scaled = tl_high_mul30(sum, c->multiplier);
    return (scaled + (scaled >> 31) + c->offset) >> c->right;
}

static inline int32_t tl_requantise(int32_t sum, const struct tl_channel *c, uint32_t general)
{
    return tl_saturate_s8(tl_unsaturated(sum, c, general));
}

static inline int32_t tl_requantise_s16(int32_t sum, const struct tl_channel *c, uint32_t general)
{
    return tl_saturate_s16(tl_unsaturated(sum, c, general));
}

/* How a 64-bit sum becomes an int16: TFLite keeps 15 bits of the multiplier for it, and rounds once, ties upwards. */
struct tl_wide_channel {
    int64_t bias;        /* where the sum starts */
    int32_t multiplier;  /* the 15 bits, times 2^(32 - right); 0 where that is no int32 */
    uint16_t multiplier15;
    uint8_t right; /* 8 … 46 */
};

/* The same for every sum and every channel: what tl_requantise_wide cannot do quickly (tl_fixed.c). */
int32_t tl_requantise_far(int64_t sum, const struct tl_wide_channel *c);

/* Most sums have 32 bits, and most multipliers are small. */
static inline int32_t tl_requantise_wide(int64_t sum, const struct tl_wide_channel *c)
{
    const int32_t low = (int32_t)sum;
    if (low != sum || c->multiplier == 0)
        return tl_requantise_far(sum, c);
    return tl_saturate_s16(tl_high_word(low, c->multiplier));
}

/* ---- fixed-point functions (tl_fixed.c) ---- */

/* 1 / (1 + a), a and result in Q0 (31 fractional bits), 0 <= a <= 1. */
int32_t tl_one_over_one_plus(int32_t a);

/* 1 / sqrt(x) as a scale, for an integer x; 1 for x < 2. */
struct tl_scale tl_inverse_sqrt(int32_t x);

/* ---- mathematics (tl_math.c): relative error at most 1e-6 of the true value, the same on every machine ---- */

static inline float tl_float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t tl_bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* a b + c rounded once: one instruction where there is an FPU, and the same bits from any right fmaf. A processor
 * without floating point would spend hundreds of instructions on that, so there the product is rounded too. */
static inline float tl_fma(float a, float b, float c)
{
#ifdef __SOFTFP__
    return a * b + c;
#else
    return fmaf(a, b, c);
#endif
}

/* tl_expf for |x| >= 87, where the result may leave the normal numbers, and for what is not a number. */
float tl_expf_far(float x);

/* 0 where the result would be below the smallest normal number */
static inline float tl_expf(float x)
{
    if ((tl_bits_of(x) & 0x7fffffffu) >= 0x42ae0000u) /* 87 */
        return tl_expf_far(x);
    /* x = n ln 2 + r, |r| <= ln 2 / 2. In a number near 1.5 * 2^23 the unit is 1: adding it rounds to the integer n,
     * and leaves n in the low bits. The high part of ln 2 has few enough bits for an exact product. */
    const float shifted = tl_fma(x, 1.44269504f, 12582912.0f);
    const float n = shifted - 12582912.0f;
    const float r = tl_fma(n, -1.42860677e-6f, tl_fma(n, -0.693145752f, x));
    /* e^r = 1 + r + r^2 q(r) */
    const float q = tl_fma(tl_fma(tl_fma(8.31252057e-3f, r, 4.18901555e-2f), r, 0.166671142f), r, 0.499992311f);
    const float y = 1.0f + tl_fma(r * r, q, r);
    return tl_float_of(tl_bits_of(y) + (tl_bits_of(shifted) << 23)); /* times 2^n */
}

static inline float tl_logisticf(float x)
{
    return 1.0f / (1.0f + tl_expf(-x));
}

static inline float tl_siluf(float x)
{
    return x * tl_logisticf(x);
}

static inline float tl_hard_swishf(float x)
{
    return x * tl_clampf(x + 3.0f, 0.0f, 6.0f) / 6.0f;
}

static inline float tl_eluf(float x)
{
    return x < 0.0f ? tl_expf(x) - 1.0f : x;
}

static inline float tl_rsqrtf(float x)
{
    return 1.0f / sqrtf(x); /* both correctly rounded everywhere; sqrtf is one instruction where there is an FPU */
}

float tl_logf(float x);
float tl_tanhf(float x);

/* ---- rows times units (tl_units.c, tl_dot.c): where matrix work spends its time ---- */

/* Groups of four that a row of n falls into; the last is filled up with zeros. */
#define TL_GROUPS(n) (((n) + 3u) / 4u)

/* x[i] + offset as int16, row by row of `rows` <= 2 that lie group by group beside one another: two words a group. */
void tl_widen_s8(const int8_t *x, uint32_t n, int32_t offset, uint32_t *wide, uint32_t rows);

/* The sum of such a row. */
int32_t tl_sum_wide(const uint32_t *wide, uint32_t n, uint32_t rows, int32_t offset);

/* Packs b[u * step + i * stride] as the weights of unit u < units, i < depth. */
void tl_pack_units(const int8_t *b, uint32_t step, uint32_t stride, uint32_t units, uint32_t depth, uint32_t *packed);

struct tl_units {
    uint32_t units, depth;
    const struct tl_channel *channels; /* [1] or [units] */
    uint32_t channel_step;             /* 0: one for all units; 1: one each */
    uint32_t clamped;                  /* whether low and high are not the limits of int8 */
    int32_t low, high;
    const int8_t *table; /* [256] what is stored for every result, by the kernels with a table in their names */
};

/* out[r][u] = requantise(channel bias + bias[r] + sum over i of x[r][i] * weights[u][i]) for one or two widened rows;
 * the rows of the output are out_step elements apart. weights: packed, [ceil(units / 2)][groups][2 units]. */
void tl_units_s8(const struct tl_units *p, const uint32_t *weights, const uint32_t *wide, uint32_t rows,
                 const int32_t *bias, int8_t *out, uint32_t out_step);
void tl_units_table_s8(const struct tl_units *p, const uint32_t *weights, const uint32_t *wide, uint32_t rows,
                       const int32_t *bias, int8_t *out, uint32_t out_step);
typedef void tl_units_function(const struct tl_units *p, const uint32_t *weights, const uint32_t *wide, uint32_t rows,
                               const int32_t *bias, int8_t *out, uint32_t out_step);
void tl_clamp_row_s8(int8_t *x, uint32_t n, int32_t low, int32_t high);

/* sum[k] += sum over i < n of x[i] * w[k * step + i * stride], for k < count <= 4 */
void tl_dot_f32(const float *x, const float *w, uint32_t step, uint32_t stride, uint32_t n, uint32_t count, float *sum);

/* out[u] = clamp(bias[u] + sum over i of x[i] * w[u][i]) */
void tl_units_f32(const float *x, const float *w, const float *bias, uint32_t depth, uint32_t units, float low,
                  float high, float *out);

/* The same for int16 rows, which need no widening (tl_units_s16.c); weights: packed in another way,
 * words [ceil(units / 4)][groups][4 units]. */
struct tl_units_s16 {
    uint32_t units, depth;
    const struct tl_wide_channel *channels; /* [units] */
    uint32_t clamped;                       /* whether low and high are not the limits of int16 */
    int32_t low, high;
};
void tl_units_s16(const struct tl_units_s16 *p, const uint32_t *weights, const int16_t *x, int16_t *out);
void tl_clamp_row_s16(int16_t *x, uint32_t n, int32_t low, int32_t high);

/* ---- dense (tl_dense.c) ---- */

/* The rows of an output are out_step elements apart.
 * The biases include the correction -zero_in * (sum of the unit's weights). scratch: min(rows, 2) widened rows. */
struct tl_fully_connected_s8 {
    uint32_t rows, out_step;
    const uint32_t *weights; /* packed */
    struct tl_units units;
};
void tl_fully_connected_s8(const struct tl_fully_connected_s8 *p, const int8_t *in, int8_t *out, void *scratch);
void tl_fully_connected_table_s8(const struct tl_fully_connected_s8 *p, const int8_t *in, int8_t *out, void *scratch);

struct tl_fully_connected_s16 {
    uint32_t rows, out_step;
    const uint32_t *weights; /* packed */
    struct tl_units_s16 units;
};
void tl_fully_connected_s16(const struct tl_fully_connected_s16 *p, const int16_t *in, int16_t *out);

struct tl_fully_connected_f32 {
    uint32_t rows, out_step, depth, units;
    const float *weights; /* [units][depth] */
    const float *bias;    /* [units] */
    float low, high;
};
void tl_fully_connected_f32(const struct tl_fully_connected_f32 *p, const float *in, float *out);

/* ---- convolution and pooling (tl_conv.c, tl_depthwise.c, tl_pool.c) ---- */

/* Where a window lies: the input pixel under tap (i, j) of output pixel (y, x) is
 * (y * stride_h - pad_top + i * dilation_h, x * stride_w - pad_left + j * dilation_w). */
struct tl_window {
    int32_t in_h, in_w, out_h, out_w;
    int32_t filter_h, filter_w, stride_h, stride_w, dilation_h, dilation_w;
    int32_t pad_top, pad_left;
};

/* The window of one output pixel: its origin in the input, and the taps that lie inside the input. */
struct tl_taps {
    int32_t y, x, top, bottom, left, right;
};

static inline int32_t tl_first_tap(int32_t origin, int32_t dilation)
{
    return origin < 0 ? (dilation - 1 - origin) / dilation : 0;
}

static inline int32_t tl_end_tap(int32_t origin, int32_t dilation, int32_t filter, int32_t size)
{
    const int32_t room = (size - origin + dilation - 1) / dilation;
    return room < filter ? room : filter;
}

static inline struct tl_taps tl_taps(const struct tl_window *w, int32_t pixel)
{
    struct tl_taps taps;
    taps.y = pixel / w->out_w * w->stride_h - w->pad_top;
    taps.x = pixel % w->out_w * w->stride_w - w->pad_left;
    taps.top = tl_first_tap(taps.y, w->dilation_h);
    taps.bottom = tl_end_tap(taps.y, w->dilation_h, w->filter_h, w->in_h);
    taps.left = tl_first_tap(taps.x, w->dilation_w);
    taps.right = tl_end_tap(taps.x, w->dilation_w, w->filter_w, w->in_w);
    return taps;
}

/* Convolution in `groups` groups: output channel o reads the `depth` input channels of group o / (out_c / groups).
 * The pixels of the output are out_step elements apart. */
struct tl_convolution {
    struct tl_window window;
    uint32_t batches, in_c, out_c, groups, depth, out_step;
};

/* The biases include the correction -zero_in * (sum of the channel's weights). scratch: two widened windows, and the
 * bytes of one. */
struct tl_conv_s8 {
    struct tl_convolution shape;
    const uint32_t *weights; /* of each group [out_c / groups][filter_h][filter_w][depth], packed */
    const int8_t *padding;  /* [depth] times zero_in: what taps outside the input read */
    struct tl_units units; /* of one group; channels: [out_c] */
};
void tl_conv_s8(const struct tl_conv_s8 *p, const int8_t *in, int8_t *out, void *scratch);
void tl_conv_table_s8(const struct tl_conv_s8 *p, const int8_t *in, int8_t *out, void *scratch);

/* scratch: the taps of one window. */
struct tl_conv_s16 {
    struct tl_convolution shape;
    const uint32_t *weights; /* of each group [out_c / groups][filter_h][filter_w][depth], packed */
    const int16_t *padding; /* [depth] zeros */
    struct tl_units_s16 units; /* of one group; channels: [out_c] */
};
void tl_conv_s16(const struct tl_conv_s16 *p, const int16_t *in, int16_t *out, void *scratch);

/* scratch: the taps of one window. */
struct tl_conv_f32 {
    struct tl_convolution shape;
    const float *weights;
    const float *padding;
    const float *bias;
    float low, high;
};
void tl_conv_f32(const struct tl_conv_f32 *p, const float *in, float *out, void *scratch);

/* Depthwise convolution: output channel o reads input channel o / multiplier. */
struct tl_depthwise_conv_s8 {
    struct tl_window window;
    uint32_t batches, in_c, multiplier;
    const int8_t *weights; /* [filter_h][filter_w][in_c * multiplier] */
    const struct tl_channel *channels; /* [in_c * multiplier]; their biases are without correction */
    int32_t zero_in, low, high;
};
void tl_depthwise_conv_s8(const struct tl_depthwise_conv_s8 *p, const int8_t *in, int8_t *out);

struct tl_depthwise_conv_s16 {
    struct tl_window window;
    uint32_t batches, in_c, multiplier;
    const int8_t *weights;
    const struct tl_wide_channel *channels; /* [in_c * multiplier] */
    int32_t low, high;
};
void tl_depthwise_conv_s16(const struct tl_depthwise_conv_s16 *p, const int16_t *in, int16_t *out);

struct tl_depthwise_conv_f32 {
    struct tl_window window;
    uint32_t batches, in_c, multiplier;
    const float *weights;
    const float *bias;
    float low, high;
};
void tl_depthwise_conv_f32(const struct tl_depthwise_conv_f32 *p, const float *in, float *out);

/* Pooling over the taps that lie inside the input. */
struct tl_pool_int {
    struct tl_window window;
    uint32_t batches, channels;
    int32_t low, high;
};
void tl_max_pool_s8(const struct tl_pool_int *p, const int8_t *in, int8_t *out);
void tl_max_pool_s16(const struct tl_pool_int *p, const int16_t *in, int16_t *out);
void tl_average_pool_s8(const struct tl_pool_int *p, const int8_t *in, int8_t *out);
void tl_average_pool_s16(const struct tl_pool_int *p, const int16_t *in, int16_t *out);

struct tl_pool_f32 {
    struct tl_window window;
    uint32_t batches, channels;
    float low, high;
};
void tl_max_pool_f32(const struct tl_pool_f32 *p, const float *in, float *out);
void tl_average_pool_f32(const struct tl_pool_f32 *p, const float *in, float *out);

/* ---- matrix product (tl_matmul.c) ---- */

/* out[n] = a[n] b[n], for outer x inner products n; an operand's steps are in elements, 0 where it is broadcast.
 * a is [rows][depth], its rows a_row apart; the columns of b are b_column apart, and its rows b_row. */
struct tl_batch {
    uint32_t outer, inner, a_outer, a_inner, b_outer, b_inner;
    uint32_t rows, a_row, b_column, b_row;
};

/* scratch: two widened rows of a; and b, packed. */
struct tl_matmul_s8 {
    struct tl_batch batch;
    int32_t zero_a, zero_b;
    struct tl_units columns;
};
void tl_matmul_s8(const struct tl_matmul_s8 *p, const int8_t *a, const int8_t *b, int8_t *out, void *scratch);
void tl_matmul_table_s8(const struct tl_matmul_s8 *p, const int8_t *a, const int8_t *b, int8_t *out, void *scratch);

struct tl_matmul_s16 {
    struct tl_batch batch;
    uint32_t depth, columns;
    struct tl_wide_channel output;
};
void tl_matmul_s16(const struct tl_matmul_s16 *p, const int16_t *a, const int16_t *b, int16_t *out);

struct tl_matmul_f32 {
    struct tl_batch batch;
    uint32_t depth, columns;
};
void tl_matmul_f32(const struct tl_matmul_f32 *p, const float *a, const float *b, float *out);

/* ---- element by element (tl_table.c, tl_binary_int.c, tl_binary_f32.c, tl_unary.c, tl_unary_s16.c, tl_quantize.c) ----
 * The output may lie exactly where an input lies that is not broadcast. */

/* out = table[in + 128]: any int8 function of one int8. */
struct tl_table_s8 {
    uint32_t count;
    const int8_t *table; /* [256] */
};
void tl_table_s8(const struct tl_table_s8 *p, const int8_t *in, int8_t *out);

/* Two operands of up to four dimensions; steps are in elements, 0 where an operand is broadcast. */
struct tl_broadcast {
    uint32_t dims[4], a[4], b[4];
};

/* Position of the innermost row: set to zero, then moved on by tl_next_row while it returns 1. */
struct tl_row {
    uint32_t index[3], a, b;
};

static inline int tl_next_row(const struct tl_broadcast *shape, struct tl_row *row)
{
    for (int d = 2; d >= 0; d--) {
        row->a += shape->a[d];
        row->b += shape->b[d];
        if (++row->index[d] < shape->dims[d])
            return 1;
        row->a -= shape->a[d] * shape->dims[d];
        row->b -= shape->b[d] * shape->dims[d];
        row->index[d] = 0;
    }
    return 0;
}

/* Sums and differences bring both operands to one scale, twice the larger of their two: b, which has it, is exact and
 * a, which has the smaller one, is rounded. value = sign_a * rescale(a - zero_a) + weight_b * (b - zero_b) */
struct tl_common_scale {
    int32_t zero_a, zero_b;
    int32_t multiplier, half;
    uint8_t shift, right;
    int32_t sign_a, weight_b;
};

static inline int32_t tl_in_common_scale(const struct tl_common_scale *p, int32_t a, int32_t b)
{
    const int32_t scaled = tl_high_mul30((a - p->zero_a) * (int32_t)(1u << p->shift), p->multiplier);
    const int32_t rounded = (scaled + (scaled >> 31) + p->half) >> p->right;
    return (b - p->zero_b) * p->weight_b + p->sign_a * rounded;
}

static inline int32_t tl_squared(int32_t x)
{
    return x * x;
}

struct tl_add_int {
    struct tl_broadcast shape;
    struct tl_common_scale common;
    struct tl_channel output;
    uint32_t clamped;
    int32_t low, high;
};
void tl_add_s8(const struct tl_add_int *p, const int8_t *a, const int8_t *b, int8_t *out);
void tl_add_s16(const struct tl_add_int *p, const int16_t *a, const int16_t *b, int16_t *out);

struct tl_squared_difference_s8 {
    struct tl_broadcast shape;
    struct tl_common_scale common;
    struct tl_channel output;
};
void tl_squared_difference_s8(const struct tl_squared_difference_s8 *p, const int8_t *a, const int8_t *b,
                              int8_t *out);

/* int16 is not widened before: half of b is rounded, and so is a in that scale. */
static inline int32_t tl_halved_difference(int32_t a, int32_t b, const struct tl_scale *scale_a)
{
    return ((b + 1) >> 1) - tl_rescale(a, scale_a);
}

struct tl_squared_difference_s16 {
    struct tl_broadcast shape;
    struct tl_scale scale_a;
    struct tl_channel output;
};
void tl_squared_difference_s16(const struct tl_squared_difference_s16 *p, const int16_t *a, const int16_t *b,
                               int16_t *out);

struct tl_mul_int {
    struct tl_broadcast shape;
    int32_t zero_a, zero_b;
    struct tl_channel output;
    uint32_t clamped;
    int32_t low, high;
};
void tl_mul_s8(const struct tl_mul_int *p, const int8_t *a, const int8_t *b, int8_t *out);
void tl_mul_s16(const struct tl_mul_int *p, const int16_t *a, const int16_t *b, int16_t *out);

struct tl_extremum_int {
    struct tl_broadcast shape;
};
void tl_minimum_s8(const struct tl_extremum_int *p, const int8_t *a, const int8_t *b, int8_t *out);
void tl_maximum_s8(const struct tl_extremum_int *p, const int8_t *a, const int8_t *b, int8_t *out);
void tl_minimum_s16(const struct tl_extremum_int *p, const int16_t *a, const int16_t *b, int16_t *out);
void tl_maximum_s16(const struct tl_extremum_int *p, const int16_t *a, const int16_t *b, int16_t *out);

/* x above zero, alpha x below it; not yet saturated. */
struct tl_slopes {
    int32_t zero_in, zero_alpha, zero_out;
    struct tl_scale above, below;
};

static inline int32_t tl_sloped(int32_t x, int32_t alpha, const struct tl_slopes *s)
{
    const int32_t centred = x - s->zero_in;
    const int32_t scaled = centred >= 0 ? tl_rescale(centred, &s->above)
                                        : tl_rescale(centred * (alpha - s->zero_alpha), &s->below);
    return scaled + s->zero_out;
}

struct tl_prelu_int {
    struct tl_broadcast shape;
    struct tl_slopes slopes;
};
void tl_prelu_s8(const struct tl_prelu_int *p, const int8_t *x, const int8_t *alpha, int8_t *out);
void tl_prelu_s16(const struct tl_prelu_int *p, const int16_t *x, const int16_t *alpha, int16_t *out);

struct tl_binary_f32 {
    struct tl_broadcast shape;
    uint32_t clamped; /* whether there are low and high */
    float low, high;
};
void tl_add_f32(const struct tl_binary_f32 *p, const float *a, const float *b, float *out);
void tl_sub_f32(const struct tl_binary_f32 *p, const float *a, const float *b, float *out);
void tl_mul_f32(const struct tl_binary_f32 *p, const float *a, const float *b, float *out);
void tl_div_f32(const struct tl_binary_f32 *p, const float *a, const float *b, float *out);
void tl_squared_difference_f32(const struct tl_binary_f32 *p, const float *a, const float *b, float *out);
void tl_minimum_f32(const struct tl_binary_f32 *p, const float *a, const float *b, float *out);
void tl_maximum_f32(const struct tl_binary_f32 *p, const float *a, const float *b, float *out);
void tl_prelu_f32(const struct tl_binary_f32 *p, const float *x, const float *alpha, float *out);

struct tl_unary_f32 {
    uint32_t count;
};
void tl_tanh_f32(const struct tl_unary_f32 *p, const float *in, float *out);
void tl_silu_f32(const struct tl_unary_f32 *p, const float *in, float *out); /* x times its logistic */
void tl_logistic_f32(const struct tl_unary_f32 *p, const float *in, float *out);
void tl_exp_f32(const struct tl_unary_f32 *p, const float *in, float *out);
void tl_log_f32(const struct tl_unary_f32 *p, const float *in, float *out);
void tl_sqrt_f32(const struct tl_unary_f32 *p, const float *in, float *out);
void tl_rsqrt_f32(const struct tl_unary_f32 *p, const float *in, float *out);
void tl_square_f32(const struct tl_unary_f32 *p, const float *in, float *out);
void tl_neg_f32(const struct tl_unary_f32 *p, const float *in, float *out);
void tl_abs_f32(const struct tl_unary_f32 *p, const float *in, float *out);
void tl_elu_f32(const struct tl_unary_f32 *p, const float *in, float *out);
void tl_hard_swish_f32(const struct tl_unary_f32 *p, const float *in, float *out);

struct tl_clamp_f32 {
    uint32_t count;
    float low, high;
};
void tl_clamp_f32(const struct tl_clamp_f32 *p, const float *in, float *out);

/* The logistic function of |x| / 24, 16 fractional bits, at 256 integers x; between them a line. */
struct tl_sigmoid_s16 {
    uint32_t count;
    int32_t multiplier; /* to units of 1 / (24 * 512), or for tanh, which is a logistic of 2 x, 1 / (24 * 256) */
    uint32_t right;
    const uint16_t *table; /* [256] */
};
int32_t tl_logistic_of_s16(int32_t x, const struct tl_sigmoid_s16 *p);
int32_t tl_tanh_of_s16(int32_t x, const struct tl_sigmoid_s16 *p);
void tl_logistic_s16(const struct tl_sigmoid_s16 *p, const int16_t *in, int16_t *out);
void tl_tanh_s16(const struct tl_sigmoid_s16 *p, const int16_t *in, int16_t *out);

/* 1 / sqrt(x); the largest output for x <= 0. The scale expects 20 fractional bits. */
struct tl_rsqrt_s16 {
    uint32_t count;
    struct tl_scale scale;
};
int32_t tl_rsqrt_of_s16(int32_t x, const struct tl_scale *scale);
void tl_rsqrt_s16(const struct tl_rsqrt_s16 *p, const int16_t *in, int16_t *out);

/* x / scale to nearest, ties away from zero, plus the zero point; far beyond an int16 at most. */
static inline int32_t tl_quantised(float x, float scale, int32_t zero)
{
    /* Beyond these the result is clamped anyway, and the conversion to an integer would be undefined. */
    const float limit = 131072.0f;
    const float scaled = x / scale;
    const float bounded = scaled > -limit ? (scaled < limit ? scaled : limit) : -limit; /* also not a number */
    const int32_t whole = (int32_t)bounded;
    const float rest = bounded - (float)whole;
    return whole + (rest >= 0.5f) - (rest <= -0.5f) + zero;
}

/* The next ones may change the size of an element: then the output must not lie where the input lies. */
struct tl_quantize {
    uint32_t count;
    float scale;
    int32_t zero;
};
void tl_quantize_s8(const struct tl_quantize *p, const float *in, int8_t *out);
void tl_quantize_s16(const struct tl_quantize *p, const float *in, int16_t *out);
void tl_dequantize_s8(const struct tl_quantize *p, const int8_t *in, float *out);
void tl_dequantize_s16(const struct tl_quantize *p, const int16_t *in, float *out);

/* From one scale and zero point to others. */
struct tl_requantize {
    uint32_t count;
    int32_t zero_in, zero_out;
    struct tl_scale scale;
    int32_t low, high;
};
void tl_requantize_s8_s16(const struct tl_requantize *p, const int8_t *in, int16_t *out);
void tl_requantize_s16_s8(const struct tl_requantize *p, const int16_t *in, int8_t *out);
void tl_requantize_s16_s16(const struct tl_requantize *p, const int16_t *in, int16_t *out);

/* ---- along rows (tl_softmax.c, tl_normalize.c, tl_reduce.c) ---- */

/* The output may lie exactly where the input lies. */
struct tl_softmax_s8 {
    uint32_t rows, depth;
    const int32_t *exp; /* [exp_count]: exp of minus d steps, Q0; 0 from exp_count on */
    uint32_t exp_count;
};
void tl_softmax_s8(const struct tl_softmax_s8 *p, const int8_t *in, int8_t *out);

/* Tables of 513 values with lines between them, over the range of an int16: exp from -10 to 0, and 1 / (1 + x) from
 * 0 to 1, in Q0 of 15 fractional bits. The scale brings a difference of inputs to the units of the first. */
struct tl_softmax_s16 {
    uint32_t rows, depth;
    struct tl_scale scale;
    const int16_t *exp, *reciprocal; /* [513] */
};
void tl_softmax_s16(const struct tl_softmax_s16 *p, const int16_t *in, int16_t *out);

struct tl_softmax_f32 {
    uint32_t rows, depth;
    float beta;
};
void tl_softmax_f32(const struct tl_softmax_f32 *p, const float *in, float *out);

/* 1 / |x| of a row whose squares have the sum `sum`, with the seven bits more that an output of scale 1/128 takes. */
struct tl_direction {
    int32_t multiplier, half, ties;
    uint32_t left, right;
};

static inline struct tl_direction tl_direction(int32_t sum)
{
    const struct tl_scale scale = tl_inverse_sqrt(sum);
    struct tl_direction d = {scale.multiplier, 0, 0, 0, 0};
    if (scale.right < 7) {
        d.left = 7u - scale.right;
    } else if (scale.right > 7) {
        d.right = scale.right - 7u;
        d.half = 1 << (d.right - 1);
        d.ties = -1;
    }
    return d;
}

static inline int32_t tl_directed(int32_t centred, const struct tl_direction *d)
{
    const int32_t scaled = tl_high_mul30(centred * (1 << d->left), d->multiplier);
    return tl_saturate_s8((scaled + ((scaled >> 31) & d->ties) + d->half) >> d->right);
}

/* |x| of such a row of float, at least TFLite's epsilon. */
static inline float tl_norm(float sum)
{
    const float root = sqrtf(sum);
    return root > 1e-6f ? root : 1e-6f;
}

/* x / |x| along the last dimension. The output may lie exactly where the input lies. */
struct tl_l2_normalization_s8 {
    uint32_t rows, depth;
    int32_t zero_in;
};
void tl_l2_normalization_s8(const struct tl_l2_normalization_s8 *p, const int8_t *in, int8_t *out);

struct tl_l2_normalization_f32 {
    uint32_t rows, depth;
};
void tl_l2_normalization_f32(const struct tl_l2_normalization_f32 *p, const float *in, float *out);

/* One step of a selective state-space model (Gu and Dao, "Mamba", 2023): for each channel e and state n
 *   next[n][e] = exp(delta[e] a[n][e]) h[n][e] + sign delta[e] x[e] b[n],  y[e] = sum over n of c[n] next[n][e]
 * in one pass over the state. The next state may lie exactly where the state lies. */
struct tl_selective_step_f32 {
    uint32_t states, channels;
    const float *a; /* [states][channels] */
    float sign;     /* 1 or -1 */
};
void tl_selective_step_f32(const struct tl_selective_step_f32 *p, const float *delta, const float *x, const float *b,
                           const float *c, const float *h, float *next, float *y);

/* Sums over two dimensions for each index of two others; steps are in elements. */
struct tl_reduction {
    uint32_t kept[2], kept_step[2], summed[2], summed_step[2];
};

/* rescale(sum - offset) + zero_out, where offset = count * zero_in; a mean's 1 / count is in the scale. */
struct tl_sum_int {
    struct tl_reduction shape;
    int32_t offset, zero_out;
    struct tl_scale scale;
};
void tl_sum_s8(const struct tl_sum_int *p, const int8_t *in, int8_t *out);
void tl_sum_s16(const struct tl_sum_int *p, const int16_t *in, int16_t *out);

/* sum / divisor */
struct tl_sum_f32 {
    struct tl_reduction shape;
    float divisor;
};
void tl_sum_f32(const struct tl_sum_f32 *p, const float *in, float *out);

/* The largest or the smallest element, instead of the sum. */
struct tl_extreme {
    struct tl_reduction shape;
};
void tl_largest_s8(const struct tl_extreme *p, const int8_t *in, int8_t *out);
void tl_largest_f32(const struct tl_extreme *p, const float *in, float *out);
void tl_smallest_s8(const struct tl_extreme *p, const int8_t *in, int8_t *out);
void tl_smallest_f32(const struct tl_extreme *p, const float *in, float *out);

/* Where along the middle one of three dimensions it lies, the first of equal ones. */
struct tl_arg {
    uint32_t outer, depth, inner;
};
void tl_arg_largest_s8(const struct tl_arg *p, const int8_t *in, int32_t *out);
void tl_arg_largest_f32(const struct tl_arg *p, const float *in, int32_t *out);
void tl_arg_smallest_s8(const struct tl_arg *p, const int8_t *in, int32_t *out);
void tl_arg_smallest_f32(const struct tl_arg *p, const float *in, int32_t *out);

/* ---- moving (tl_move.c, tl_resize.c) ---- */

/* Copies a box of elements from one grid of steps to another. */
struct tl_move {
    uint32_t dims[5], in[5], out[5];
};
void tl_move_s8(const struct tl_move *p, const int8_t *in, int8_t *out);
void tl_move_s16(const struct tl_move *p, const int16_t *in, int16_t *out);
void tl_move_f32(const struct tl_move *p, const float *in, float *out);

/* Pixel (y, x) of the output is pixel (rows[y], columns[x]) of the input; both in bytes from the first one. */
struct tl_resize {
    uint32_t batches, in_bytes, out_h, out_w, pixel_bytes;
    const uint32_t *rows, *columns; /* [out_h], [out_w] */
};
void tl_resize(const struct tl_resize *p, const void *in, void *out);

struct tl_fill_s8 {
    uint32_t count;
    int8_t value;
};
void tl_fill_s8(const struct tl_fill_s8 *p, int8_t *out);

struct tl_fill_s16 {
    uint32_t count;
    int16_t value;
};
void tl_fill_s16(const struct tl_fill_s16 *p, int16_t *out);

struct tl_fill_f32 {
    uint32_t count;
    float value;
};
void tl_fill_f32(const struct tl_fill_f32 *p, float *out);

#ifdef __cplusplus
}
#endif

#endif
