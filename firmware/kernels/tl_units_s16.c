/* Rows of int16 times units of int8 weights.
 *
 * Four units share what they load of a row. Their weights lie beside one another, four of each; in the order 0, 2, 1, 3,
 * so that SXTB16 widens two neighbours, as they lie in the row, and SMLAD adds two products: 22 instructions for 16.
 * A processor without the DSP extension does the same in C.
 */
#include <string.h>

#include "tinyloc_kernels.h"

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

static inline int32_t add_four(int32_t sum, struct four row, const int8_t *w)
{
    uint32_t weights, pair;
    memcpy(&weights, w, sizeof weights);
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

static inline int32_t add_four(int32_t sum, struct four row, const int8_t *w)
{
    return sum + row.x[0] * w[0] + row.x[1] * w[2] + row.x[2] * w[1] + row.x[3] * w[3];
}

#endif

/* sum[u] += the products of `groups` groups of the row with unit u; at most RUN, and with sums of 0 before */
static inline void add_groups(const int16_t *x, const int8_t *w, uint32_t groups, int32_t sum[4])
{
    int32_t s0 = sum[0], s1 = sum[1], s2 = sum[2], s3 = sum[3]; /* in registers, where an array would not be */
    for (const int8_t *end = w + 16 * groups; w != end; w += 16, x += 4) {
        const struct four row = load_four(x);
        s0 = add_four(s0, row, w);
        s1 = add_four(s1, row, w + 4);
        s2 = add_four(s2, row, w + 8);
        s3 = add_four(s3, row, w + 12);
    }
    sum[0] = s0;
    sum[1] = s1;
    sum[2] = s2;
    sum[3] = s3;
}

/* The last n < 4 elements of a row; what is beyond them meets weights of zero. */
static inline void add_rest(const int16_t *x, const int8_t *w, uint32_t n, int32_t sum[4])
{
    const int16_t last[4] = {x[0], n > 1 ? x[1] : (int16_t)0, n > 2 ? x[2] : (int16_t)0, 0};
    add_groups(last, w, 1, sum);
}

/* Rows whose sums may need more than 32 bits. */
static void add_long(const int16_t *x, const int8_t *w, uint32_t n, int64_t total[4])
{
    for (uint32_t left = n; left > 0;) {
        const uint32_t groups = left / 4 < RUN ? left / 4 : RUN;
        int32_t sum[4] = {0, 0, 0, 0};
        add_groups(x, w, groups, sum);
        x += 4 * groups;
        w += 16 * groups;
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

void tl_units_s16(const struct tl_units_s16 *p, const int8_t *weights, const int16_t *x, int16_t *out)
{
    const struct tl_wide_channel *c = p->channels;
    const uint32_t n = p->depth;
    for (uint32_t left = p->units; left > 0; weights += 16 * TL_GROUPS(n)) {
        const uint32_t count = left < 4 ? left : 4;
        int32_t sum[4] = {0, 0, 0, 0};
        int64_t total[4] = {0, 0, 0, 0};
        if (n < 4 * RUN) { /* one group less than would fit: the rest is another */
            add_groups(x, weights, n / 4, sum);
            if (n % 4 > 0)
                add_rest(x + (n & ~3u), weights + 4 * (n & ~3u), n % 4, sum);
        } else {
            add_long(x, weights, n, total);
        }
        for (uint32_t u = 0; u < count; u++, c++)
            *out++ = tl_requantise_wide(c->bias + total[u] + sum[u], c, p->low, p->high);
        left -= count;
    }
}
