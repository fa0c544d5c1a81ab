/* The step of a state-space model. */
#include "tinyloc_kernels.h"

void tl_selective_step_f32(const struct tl_selective_step_f32 *p, const float *delta, const float *x, const float *b,
                           const float *c, const float *h, float *next, float *y)
{
    for (uint32_t e = 0; e < p->channels; e++) {
        const float *a = p->a + e, *old = h + e, *b_n = b, *c_n = c;
        float *new = next + e, sum = 0.0f;
        const float rate = delta[e], driven = p->sign * (rate * x[e]);
        for (uint32_t n = p->states; n > 0; n--) {
            const float state = tl_fma(driven, *b_n++, tl_expf(rate * *a) * *old);
            *new = state;
            sum = tl_fma(*c_n++, state, sum);
            a += p->channels;
            old += p->channels;
            new += p->channels;
        }
        y[e] = sum;
    }
}
