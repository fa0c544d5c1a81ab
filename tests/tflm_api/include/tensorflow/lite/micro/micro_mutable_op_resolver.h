#ifndef TESTS_TFLM_API_RESOLVER_H
#define TESTS_TFLM_API_RESOLVER_H

#include "tensorflow/lite/micro/declarations.h"
#include "tensorflow/lite/micro/operators.h"

namespace tflite {
TFLM_API_BEGIN

#define DECLARE(method, number, kernel, parser) TFLMRegistration Register_##kernel();
TFLM_API_OPERATORS(DECLARE)
#undef DECLARE
/* Several operators share a parser; to declare it once more is no error. */
#define DECLARE(method, number, kernel, parser) TfLiteStatus Parse##parser(const Operator *, BuiltinDataAllocator *, void **);
TFLM_API_OPERATORS(DECLARE)
#undef DECLARE

template <unsigned int N> class MicroMutableOpResolver : public MicroOpResolver {
public:
    const TFLMRegistration *FindOp(BuiltinOperator op) const override
    {
        for (unsigned i = 0; i < n; i++)
            if (registrations[i].builtin_code == op)
                return &registrations[i];
        return nullptr;
    }
    const TFLMRegistration *FindOp(const char *) const override { return nullptr; }
    Parser GetOpDataParser(BuiltinOperator op) const override
    {
        for (unsigned i = 0; i < n; i++)
            if (registrations[i].builtin_code == op)
                return parsers[i];
        return nullptr;
    }

#define DEFINE(method, number, kernel, parser) \
    TfLiteStatus method() { return add(number, Register_##kernel(), Parse##parser); }
    TFLM_API_OPERATORS(DEFINE)
#undef DEFINE

private:
    TfLiteStatus add(int32_t number, TFLMRegistration registration, Parser parser)
    {
        if (n == N)
            return kTfLiteError;
        registration.builtin_code = number;
        registrations[n] = registration;
        parsers[n++] = parser;
        return kTfLiteOk;
    }

    TFLMRegistration registrations[N];
    Parser parsers[N];
    unsigned n = 0;
};

TFLM_API_END
} // namespace tflite

#endif
