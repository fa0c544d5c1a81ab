/* Rows of int16 times units of int8 weights.
 *
 * Four units share what they load of a row. Their weights lie beside one another, four of each; in the order 0, 2, 1, 3,
 * so that SXTB16 widens two neighbours, as they lie in the row, and SMLAD adds two products: 22 instructions for 16.
 * Helium adds 16 products of each of the four in 22. A processor without the DSP extension does the same in C.
 */
#include <string.h>

#include "tinyloc_kernels.h"

#ifdef TL_HELIUM

#include <arm_mve.h>

/* Sixteen elements of a row with four units. De-interleaving loads bring the row's pairs (0, 1) and (2, 3) of each four
 * into a vector each, and 16 weights of every unit, of which VMOVLB and VMOVLT widen those for the one and for the other.
 * VMLALDAVA sums in 64 bits, so a row may have any length. */
static inline int64_t add_sixteen(int64_t sum, uint32x4x2_t row, uint32x4_t weights)
{
    const int8x16_t w = vreinterpretq_s8_u32(weights);
    sum = vmlaldavaq_s16(sum, vreinterpretq_s16_u32(row.val[0]), vmovlbq_s8(w));
    return vmlaldavaq_s16(sum, vreinterpretq_s16_u32(row.val[1]), vmovltq_s8(w));
}

/* Eight elements of a row, or its last ones, with a unit whose weights begin at w. */
static inline int64_t add_eight(int64_t sum, int16x8_t row, const uint32_t *w, mve_pred16_t real)
{
    static const uint16_t place[8] = {0, 2, 1, 3, 16, 18, 17, 19}; /* of elements in two packed groups */
    const int16x8_t weights = vldrbq_gather_offset_z_s16((const int8_t *)w, vld1q_u16(place), real);
    return vmlaldavaq_s16(sum, row, weights);
}

/* total[u] = the products of the row with unit u */
static inline void add_row(const int16_t *x, const uint32_t *w, uint32_t n, int64_t total[4])
{
    const int words = (uintptr_t)x % sizeof(uint32_t) == 0; /* or no load of pairs is allowed */
    int64_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (; words && n >= 16; n -= 16, x += 16, w += 16) {
        const uint32x4x2_t row = vld2q_u32((const uint32_t *)(const void *)x);
        const uint32x4x4_t units = vld4q_u32(w);
        s0 = add_sixteen(s0, row, units.val[0]);
        s1 = add_sixteen(s1, row, units.val[1]);
        s2 = add_sixteen(s2, row, units.val[2]);
        s3 = add_sixteen(s3, row, units.val[3]);
    }
    for (int32_t left = (int32_t)n; left > 0; left -= 8, x += 8, w += 8) {
        const mve_pred16_t real = vctp16q((uint32_t)left);
        const int16x8_t row = vld1q_z_s16(x, real);
        s0 = add_eight(s0, row, w, real);
        s1 = add_eight(s1, row, w + 1, real);
        s2 = add_eight(s2, row, w + 2, real);
        s3 = add_eight(s3, row, w + 3, real);
    }
    total[0] = s0;
    total[1] = s1;
    total[2] = s2;
    total[3] = s3;
}

#else

/* So many groups of four products of an int16 and an int8 have a sum of 32 bits. */
#define RUN 127u

/* The sum and the products of four elements of a row with one unit's weights. */
#ifdef __ARM_FEATURE_DSP

struct four {
    uint32_t first, second;
};

static inline struct four load_four(const int16_t *x)
{
    struct four row;
    memcpy(&row.first, x, sizeof row.first);
    memcpy(&row.second, x + 2, sizeof row.second);
    return row;
}

static inline int32_t add_four(int32_t sum, struct four row, uint32_t weights)
{
    uint32_t pair;
    __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(weights));
    __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(row.first), "r"(pair));
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(weights));
    __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(row.second), "r"(pair));
    return sum;
}

#else

struct four {
    int32_t x[4];
};

static inline struct four load_four(const int16_t *x)
{
    const struct four row = {{x[0], x[1], x[2], x[3]}};
    return row;
}

static inline int32_t byte(uint32_t four, uint32_t i)
{
    return (int8_t)(four >> 8 * i & 0xffu);
}

static inline int32_t add_four(int32_t sum, struct four row, uint32_t weights)
{
    sum += row.x[0] * byte(weights, 0) + row.x[1] * byte(weights, 2);
    return sum + row.x[2] * byte(weights, 1) + row.x[3] * byte(weights, 3);
}

#endif

/* sum[u] += the products of `groups` groups of the row with unit u; at most RUN, and with sums of 0 before */
static inline void add_groups(const int16_t *x, const uint32_t *w, uint32_t groups, int32_t sum[4])
{
    int32_t s0 = sum[0], s1 = sum[1], s2 = sum[2], s3 = sum[3]; /* in registers, where an array would not be */
    for (const uint32_t *end = w + 4 * groups; w != end; w += 4, x += 4) {
        const struct four row = load_four(x);
        s0 = add_four(s0, row, w[0]);
        s1 = add_four(s1, row, w[1]);
        s2 = add_four(s2, row, w[2]);
        s3 = add_four(s3, row, w[3]);
    }
    sum[0] = s0;
    sum[1] = s1;
    sum[2] = s2;
    sum[3] = s3;
}

/* The last n < 4 elements of a row; what is beyond them meets weights of zero. */
static inline void add_rest(const int16_t *x, const uint32_t *w, uint32_t n, int32_t sum[4])
{
    const int16_t last[4] = {x[0], n > 1 ? x[1] : (int16_t)0, n > 2 ? x[2] : (int16_t)0, 0};
    add_groups(last, w, 1, sum);
}

/* Rows whose sums may need more than 32 bits. */
static void add_long(const int16_t *x, const uint32_t *w, uint32_t n, int64_t total[4])
{
    memset(total, 0, 4 * sizeof *total);
    for (uint32_t left = n; left > 0;) {
        const uint32_t groups = left / 4 < RUN ? left / 4 : RUN;
        int32_t sum[4] = {0, 0, 0, 0};
        add_groups(x, w, groups, sum);
        x += 4 * groups;
        w += 4 * groups;
        left -= 4 * groups;
        if (left < 4) {
            for (uint32_t u = 0; u < 4; u++)
                total[u] += sum[u];
            memset(sum, 0, sizeof sum);
            if (left > 0)
                add_rest(x, w, left, sum);
            left = 0;
        }
        for (uint32_t u = 0; u < 4; u++)
            total[u] += sum[u];
    }
}

/* total[u] = the products of the row with unit u */
static inline void add_row(const int16_t *x, const uint32_t *w, uint32_t n, int64_t total[4])
{
    if (n >= 4 * RUN) {
        add_long(x, w, n, total);
        return;
    }
    int32_t sum[4] = {0, 0, 0, 0}; /* one group less than would fit: the rest is another */
    add_groups(x, w, n / 4, sum);
    if (n % 4 > 0)
        add_rest(x + (n & ~3u), w + (n & ~3u), n % 4, sum);
    for (uint32_t u = 0; u < 4; u++)
        total[u] = sum[u];
}

#endif

void tl_units_s16(const struct tl_units_s16 *p, const uint32_t *weights, const int16_t *x, int16_t *out)
{
    const struct tl_wide_channel *c = p->channels;
    const uint32_t n = p->depth;
    for (uint32_t left = p->units; left > 0; weights += 4 * TL_GROUPS(n)) {
        const uint32_t count = left < 4 ? left : 4;
        int64_t total[4];
        add_row(x, weights, n, total);
        for (uint32_t u = 0; u < count; u++, c++)
            *out++ = (int16_t)tl_requantise_wide(c->bias + total[u], c);
        left -= count;
    }
    if (p->clamped)
        tl_clamp_row_s16(out - p->units, p->units, p->low, p->high);
}

void tl_clamp_row_s16(int16_t *x, uint32_t n, int32_t low, int32_t high)
{
    for (int16_t *end = x + n; x != end; x++)
        *x = (int16_t)tl_clamp(*x, low, high);
}
