/* Rows of int16 times units of int8 weights: where integer matrix work spends its time.
 *
 * Weights come in packed pairs of units: four weights of one unit and four of the next, word by word. A row is widened
 * once, as words of two int16: elements 0 and 2 of each four, then 1 and 3, which is how SXTB16 widens a word of weights.
 * Then SMLAD adds two products. Two rows by two units, or one row by four, share what they load: 15 or 19 instructions
 * for 16 products. Helium takes 16 products in one. A processor without the DSP extension does the same in C; the sums
 * are the same integers.
 */
#include <string.h>

#include "tinyloc_kernels.h"

/* ---- four products of one row and one unit ---- */

#ifndef __ARM_FEATURE_DSP

/* Two int16 as a word. */
static inline uint32_t pair(int32_t low, int32_t high)
{
    return ((uint32_t)low & 0xffffu) | (uint32_t)high << 16;
}

static inline int32_t low(uint32_t pair)
{
    return (int16_t)(pair & 0xffffu);
}

static inline int32_t high(uint32_t pair)
{
    return (int16_t)(pair >> 16);
}

static inline int32_t byte(uint32_t four, uint32_t i)
{
    return (int8_t)(four >> 8 * i & 0xffu);
}

static inline void widen(uint32_t four, int32_t offset, uint32_t x[2])
{
    x[0] = pair(byte(four, 0) + offset, byte(four, 2) + offset);
    x[1] = pair(byte(four, 1) + offset, byte(four, 3) + offset);
}

static inline int32_t add_pair(int32_t sum, uint32_t x)
{
    return sum + low(x) + high(x);
}

static inline int32_t add_four(int32_t sum, const uint32_t x[2], uint32_t four)
{
    sum += low(x[0]) * byte(four, 0) + high(x[0]) * byte(four, 2);
    return sum + low(x[1]) * byte(four, 1) + high(x[1]) * byte(four, 3);
}

/* s = {row 0 unit 0, row 0 unit 1, row 1 unit 0, row 1 unit 1} */
static inline void add_2x2(const uint32_t **x, const uint32_t **w, int32_t s[4])
{
    for (uint32_t i = 0; i < 4; i++)
        s[i] = add_four(s[i], *x + (i & 2u), (*w)[i & 1u]);
    *x += 4;
    *w += 2;
}

/* s = {units 0 and 1, from w; units 2 and 3, from v} */
static inline void add_1x4(const uint32_t **x, const uint32_t **w, const uint32_t **v, int32_t s[4])
{
    for (uint32_t i = 0; i < 2; i++) {
        s[i] = add_four(s[i], *x, (*w)[i]);
        s[i + 2] = add_four(s[i + 2], *x, (*v)[i]);
    }
    *x += 2;
    *w += 2;
    *v += 2;
}

#else

static inline void widen(uint32_t four, int32_t offset, uint32_t x[2])
{
    const uint32_t both = ((uint32_t)offset & 0xffffu) * 0x10001u;
    __asm__("sxtab16 %0, %1, %2" : "=r"(x[0]) : "r"(both), "r"(four));
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(x[1]) : "r"(both), "r"(four));
}

static inline int32_t add_pair(int32_t sum, uint32_t x)
{
    __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(x), "r"(0x10001u));
    return sum;
}

/* Whole steps, because the compiler's own allocation of the 14 registers spills some of them in every turn. */
static inline void add_2x2(const uint32_t **x, const uint32_t **w, int32_t s[4])
{
    uint32_t x02, x13, y02, y13, a, b, c;
    __asm__ volatile("ldrd %[x02], %[x13], [%[x]], #8\n\t"
                     "ldrd %[y02], %[y13], [%[x]], #8\n\t"
                     "ldrd %[a], %[b], [%[w]], #8\n\t"
                     "sxtb16 %[c], %[a]\n\t"
                     "sxtb16 %[a], %[a], ror #8\n\t"
                     "smlad %[s0], %[x02], %[c], %[s0]\n\t"
                     "smlad %[s2], %[y02], %[c], %[s2]\n\t"
                     "sxtb16 %[c], %[b]\n\t"
                     "sxtb16 %[b], %[b], ror #8\n\t"
                     "smlad %[s0], %[x13], %[a], %[s0]\n\t"
                     "smlad %[s2], %[y13], %[a], %[s2]\n\t"
                     "smlad %[s1], %[x02], %[c], %[s1]\n\t"
                     "smlad %[s3], %[y02], %[c], %[s3]\n\t"
                     "smlad %[s1], %[x13], %[b], %[s1]\n\t"
                     "smlad %[s3], %[y13], %[b], %[s3]"
                     : [x] "+r"(*x), [w] "+r"(*w), [s0] "+r"(s[0]), [s1] "+r"(s[1]), [s2] "+r"(s[2]), [s3] "+r"(s[3]),
                       [x02] "=&r"(x02), [x13] "=&r"(x13), [y02] "=&r"(y02), [y13] "=&r"(y13), [a] "=&r"(a),
                       [b] "=&r"(b), [c] "=&r"(c)
                     :
                     : "memory");
}

#define TWO_UNITS(W, FIRST, SECOND)                                                                             \
    "ldrd %[a], %[b], [%[" W "]], #8\n\t"                                                                       \
    "sxtb16 %[c], %[a]\n\t"                                                                                     \
    "sxtb16 %[a], %[a], ror #8\n\t"                                                                             \
    "smlad %[" FIRST "], %[x02], %[c], %[" FIRST "]\n\t"                                                        \
    "sxtb16 %[c], %[b]\n\t"                                                                                     \
    "sxtb16 %[b], %[b], ror #8\n\t"                                                                             \
    "smlad %[" SECOND "], %[x02], %[c], %[" SECOND "]\n\t"                                                      \
    "smlad %[" FIRST "], %[x13], %[a], %[" FIRST "]\n\t"                                                        \
    "smlad %[" SECOND "], %[x13], %[b], %[" SECOND "]\n\t"

static inline void add_1x4(const uint32_t **x, const uint32_t **w, const uint32_t **v, int32_t s[4])
{
    uint32_t x02, x13, a, b, c;
    __asm__ volatile("ldrd %[x02], %[x13], [%[x]], #8\n\t" TWO_UNITS("w", "s0", "s1") TWO_UNITS("v", "s2", "s3")
                     : [x] "+r"(*x), [w] "+r"(*w), [v] "+r"(*v), [s0] "+r"(s[0]), [s1] "+r"(s[1]), [s2] "+r"(s[2]),
                       [s3] "+r"(s[3]), [x02] "=&r"(x02), [x13] "=&r"(x13), [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c)
                     :
                     : "memory");
}

#endif

#ifdef TL_HELIUM

#include <arm_mve.h>

/* Helium: four groups in a step, 18 instructions for 64 products. De-interleaving loads bring each row's pairs (0, 2)
 * and (1, 3) into a vector of its own, and each unit's 16 weights, of which VMOVLB and VMOVLT widen every other one. */
enum { STEP_GROUPS = 4 };

static inline int32_t add_sixteen(int32_t sum, uint32x4_t x02, uint32x4_t x13, uint32x4_t weights)
{
    const int8x16_t w = vreinterpretq_s8_u32(weights);
    sum = vmladavaq_s16(sum, vreinterpretq_s16_u32(x02), vmovlbq_s8(w));
    return vmladavaq_s16(sum, vreinterpretq_s16_u32(x13), vmovltq_s8(w));
}

static inline void step_2x2(const uint32_t **x, const uint32_t **w, int32_t s[4])
{
    const uint32x4x4_t rows = vld4q_u32(*x);
    const uint32x4x2_t units = vld2q_u32(*w);
    s[0] = add_sixteen(s[0], rows.val[0], rows.val[1], units.val[0]);
    s[1] = add_sixteen(s[1], rows.val[0], rows.val[1], units.val[1]);
    s[2] = add_sixteen(s[2], rows.val[2], rows.val[3], units.val[0]);
    s[3] = add_sixteen(s[3], rows.val[2], rows.val[3], units.val[1]);
    *x += 16;
    *w += 8;
}

static inline void step_1x4(const uint32_t **x, const uint32_t **w, const uint32_t **v, int32_t s[4])
{
    const uint32x4x2_t row = vld2q_u32(*x), first = vld2q_u32(*w), second = vld2q_u32(*v);
    s[0] = add_sixteen(s[0], row.val[0], row.val[1], first.val[0]);
    s[1] = add_sixteen(s[1], row.val[0], row.val[1], first.val[1]);
    s[2] = add_sixteen(s[2], row.val[0], row.val[1], second.val[0]);
    s[3] = add_sixteen(s[3], row.val[0], row.val[1], second.val[1]);
    *x += 8;
    *w += 8;
    *v += 8;
}

#else

enum { STEP_GROUPS = 2 };

static inline void step_2x2(const uint32_t **x, const uint32_t **w, int32_t s[4])
{
    add_2x2(x, w, s);
    add_2x2(x, w, s);
}

static inline void step_1x4(const uint32_t **x, const uint32_t **w, const uint32_t **v, int32_t s[4])
{
    add_1x4(x, w, v, s);
    add_1x4(x, w, v, s);
}

#endif

/* ---- widening and packing ---- */

/* The first n <= 4 bytes at x, zeros above them. */
static inline uint32_t load(const int8_t *x, uint32_t n)
{
    uint32_t four = 0;
    for (uint32_t i = 0; i < n; i++)
        four |= (uint32_t)(uint8_t)x[i] << 8 * i;
    return four;
}

void tl_widen_s8(const int8_t *x, uint32_t n, int32_t offset, uint32_t *wide, uint32_t rows)
{
    for (; n >= 4; n -= 4, x += 4, wide += 2 * rows) {
        uint32_t four;
        memcpy(&four, x, sizeof four);
        widen(four, offset, wide);
    }
    if (n > 0) /* what is beyond the row meets weights of zero */
        widen(load(x, n), offset, wide);
}

int32_t tl_sum_wide(const uint32_t *wide, uint32_t n, uint32_t rows, int32_t offset)
{
    int32_t sum = 0;
    for (uint32_t i = 0; i < n; i += 4, wide += 2 * rows)
        sum = add_pair(add_pair(sum, wide[0]), wide[1]);
    return sum - offset * (int32_t)(TL_GROUPS(n) * 4 - n);
}

void tl_pack_units(const int8_t *b, uint32_t step, uint32_t stride, uint32_t units, uint32_t depth, uint32_t *packed)
{
    const uint32_t groups = TL_GROUPS(depth);
    for (uint32_t u = 0; u < units; u++, b += step) {
        uint32_t *to = packed + u / 2 * 2 * groups + u % 2;
        const int8_t *from = b;
        for (uint32_t left = depth; left > 0; to += 2) {
            const uint32_t n = left < 4 ? left : 4;
            uint32_t four = 0;
            if (stride == 1 && n == 4) {
                memcpy(&four, from, sizeof four);
                from += 4;
            } else {
                for (uint32_t i = 0; i < n; i++, from += stride)
                    four |= (uint32_t)(uint8_t)*from << 8 * i;
            }
            *to = four;
            left -= n;
        }
    }
}

/* ---- rows times units ---- */

/* table: of what is stored, its middle; 0: the result itself. */
static inline int8_t stored(int32_t sum, const struct tl_channel *c, uint32_t general, const int8_t *table)
{
    const int32_t result = tl_requantise(sum, c, general);
    return table ? table[result] : (int8_t)result;
}

/* Inlined twice, so that nothing is asked for each result. */
static inline __attribute__((always_inline)) void two_rows(const struct tl_units *p, const uint32_t *w,
                                                           const uint32_t *rows, const int32_t *bias, int8_t *out,
                                                           uint32_t out_step, const int8_t *table)
{
    const struct tl_channel *c = p->channels;
    const uint32_t general = c->general, groups = TL_GROUPS(p->depth);
    for (uint32_t left = p->units; left > 0; left -= 2) {
        const struct tl_channel *d = left > 1 ? c + p->channel_step : c;
        int32_t s[4] = {c->bias + bias[0], d->bias + bias[0], c->bias + bias[1], d->bias + bias[1]};
        const uint32_t *x = rows;
        for (uint32_t i = groups / STEP_GROUPS; i > 0; i--)
            step_2x2(&x, &w, s);
        for (uint32_t i = groups % STEP_GROUPS; i > 0; i--)
            add_2x2(&x, &w, s);
        out[0] = stored(s[0], c, general, table);
        out[out_step] = stored(s[2], c, general, table);
        if (left == 1)
            return;
        out[1] = stored(s[1], d, general, table);
        out[out_step + 1] = stored(s[3], d, general, table);
        out += 2;
        c = d + p->channel_step;
    }
}

static inline __attribute__((always_inline)) void one_row(const struct tl_units *p, const uint32_t *w,
                                                          const uint32_t *row, int32_t bias, int8_t *out,
                                                          const int8_t *table)
{
    const struct tl_channel *c = p->channels;
    const uint32_t general = c->general, groups = TL_GROUPS(p->depth);
    for (uint32_t left = p->units; left > 0;) {
        const uint32_t count = left < 4 ? left : 4;
        const uint32_t *x = row, *v = count > 2 ? w + 2 * groups : w;
        int32_t s[4] = {0, 0, 0, 0};
        for (uint32_t i = groups / STEP_GROUPS; i > 0; i--)
            step_1x4(&x, &w, &v, s);
        for (uint32_t i = groups % STEP_GROUPS; i > 0; i--)
            add_1x4(&x, &w, &v, s);
        const int32_t sums[4] = {s[0], s[1], s[2], s[3]}; /* so that s itself stays in registers */
        for (uint32_t u = 0; u < count; u++, c += p->channel_step)
            *out++ = stored(sums[u] + c->bias + bias, c, general, table);
        w = v;
        left -= count;
    }
}

void tl_units_s8(const struct tl_units *p, const uint32_t *weights, const uint32_t *wide, uint32_t rows,
                 const int32_t *bias, int8_t *out, uint32_t out_step)
{
    if (rows == 2)
        two_rows(p, weights, wide, bias, out, out_step, 0);
    else
        one_row(p, weights, wide, bias[0], out, 0);
    for (; p->clamped && rows > 0; rows--, out += out_step)
        tl_clamp_row_s8(out, p->units, p->low, p->high);
}

void tl_units_table_s8(const struct tl_units *p, const uint32_t *weights, const uint32_t *wide, uint32_t rows,
                       const int32_t *bias, int8_t *out, uint32_t out_step)
{
    if (rows == 2)
        two_rows(p, weights, wide, bias, out, out_step, p->table + 128);
    else
        one_row(p, weights, wide, bias[0], out, p->table + 128);
}

void tl_clamp_row_s8(int8_t *x, uint32_t n, int32_t low, int32_t high)
{
    for (uint32_t i = 0; i < n; i++)
        x[i] = tl_clamp_s8(x[i], low, high);
}
