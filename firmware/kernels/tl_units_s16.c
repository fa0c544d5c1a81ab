/* Rows of int16 times units of int8 weights. */
#include "tinyloc_kernels.h"

/* So many products of an int16 and an int8 have a sum of 32 bits. */
#define RUN 511u

static int64_t dot(const int16_t *x, const int8_t *w, uint32_t n)
{
    int64_t total = 0;
    while (n > 0) {
        const uint32_t run = n < RUN ? n : RUN;
        int32_t sum = 0;
        for (const int16_t *end = x + run; x != end;)
            sum += *x++ * *w++;
        total += sum;
        n -= run;
    }
    return total;
}

void tl_units_s16(const struct tl_units_s16 *p, const int8_t *weights, const int16_t *x, int16_t *out)
{
    const struct tl_wide_channel *c = p->channels;
    for (uint32_t u = 0; u < p->units; u++, c++, weights += p->depth)
        *out++ = tl_requantise_wide(c->bias + dot(x, weights, p->depth), c, p->low, p->high);
}
