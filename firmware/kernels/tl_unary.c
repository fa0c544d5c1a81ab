/* float functions of one float. */
#include "tinyloc_kernels.h"

#define UNARY(NAME, EXPRESSION)                                                                                 \
    void NAME(const struct tl_unary_f32 *p, const float *in, float *out)                                        \
    {                                                                                                           \
        for (const float *end = in + p->count; in != end;) {                                                    \
            const float x = *in++;                                                                              \
            *out++ = EXPRESSION;                                                                                \
        }                                                                                                       \
    }

UNARY(tl_tanh_f32, tl_tanhf(x))
UNARY(tl_logistic_f32, tl_logisticf(x))
UNARY(tl_silu_f32, tl_siluf(x))
UNARY(tl_exp_f32, tl_expf(x))
UNARY(tl_log_f32, tl_logf(x))
UNARY(tl_sqrt_f32, sqrtf(x))
UNARY(tl_rsqrt_f32, tl_rsqrtf(x))
UNARY(tl_square_f32, x * x)
UNARY(tl_neg_f32, -x)
UNARY(tl_abs_f32, fabsf(x))
UNARY(tl_elu_f32, tl_eluf(x))
UNARY(tl_hard_swish_f32, tl_hard_swishf(x))

void tl_clamp_f32(const struct tl_clamp_f32 *p, const float *in, float *out)
{
    for (const float *end = in + p->count; in != end;)
        *out++ = tl_clampf(*in++, p->low, p->high);
}
