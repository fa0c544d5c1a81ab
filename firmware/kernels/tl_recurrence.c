/* The step of a state-space model. */
#include "tinyloc_kernels.h"

#ifdef TL_HELIUM_FLOAT

#include <arm_mve.h>

/* tl_expf of four numbers, operation by operation, so that the bits are the same. */
static inline float32x4_t exp_four(float32x4_t x)
{
    if (vcmphiq_n_u32(vreinterpretq_u32_f32(vabsq_f32(x)), 0x42adffffu)) { /* one of them is 87 or more */
        float each[4] = {0.0f}; /* GCC's analyser does not know that the next line writes it */
        vst1q_f32(each, x);
        for (uint32_t i = 0; i < 4; i++)
            each[i] = tl_expf(each[i]);
        return vld1q_f32(each);
    }
    const float32x4_t shifted = vfmasq_n_f32(x, vdupq_n_f32(1.44269504f), 12582912.0f);
    const float32x4_t n = vsubq_n_f32(shifted, 12582912.0f);
    const float32x4_t r = vfmaq_n_f32(vfmaq_n_f32(x, n, -0.693145752f), n, -1.42860677e-6f);
    float32x4_t q = vfmasq_n_f32(vdupq_n_f32(8.31252057e-3f), r, 4.18901555e-2f);
    q = vfmasq_n_f32(vfmasq_n_f32(q, r, 0.166671142f), r, 0.499992311f);
    const float32x4_t y = vaddq_n_f32(vfmaq_f32(r, vmulq_f32(r, r), q), 1.0f);
    const uint32x4_t power = vshlq_n_u32(vreinterpretq_u32_f32(shifted), 23);
    return vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(y), power));
}

/* Four channels at a time, every sum in its order. */
void tl_selective_step_f32(const struct tl_selective_step_f32 *p, const float *delta, const float *x, const float *b,
                           const float *c, const float *h, float *next, float *y)
{
    for (uint32_t e = 0; e < p->channels; e += 4) {
        const mve_pred16_t real = vctp32q(p->channels - e);
        const float *a = p->a + e, *old = h + e;
        float *new = next + e;
        const float32x4_t rate = vld1q_z_f32(delta + e, real);
        const float32x4_t driven = vmulq_n_f32(vmulq_f32(rate, vld1q_z_f32(x + e, real)), p->sign);
        float32x4_t sum = vdupq_n_f32(0.0f);
        for (uint32_t n = 0; n < p->states; n++, a += p->channels, old += p->channels, new += p->channels) {
            const float32x4_t decay = exp_four(vmulq_f32(rate, vld1q_z_f32(a, real)));
            const float32x4_t state = vfmaq_n_f32(vmulq_f32(decay, vld1q_z_f32(old, real)), driven, b[n]);
            vst1q_p_f32(new, state, real);
            sum = vfmaq_n_f32(sum, state, c[n]);
        }
        vst1q_p_f32(y + e, sum, real);
    }
}

#else

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

#endif
