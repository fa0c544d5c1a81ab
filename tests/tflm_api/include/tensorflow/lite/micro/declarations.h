/* Declarations for tests, see README.md: what the runner calls of TFLite Micro, and what that needs. The order of the
 * virtual functions and of the fields is what the library of the tflite-micro wheel was compiled with. */
#ifndef TESTS_TFLM_API_DECLARATIONS_H
#define TESTS_TFLM_API_DECLARATIONS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef TFLM_API_BEFORE_2026
#define TFLM_API_BEGIN
#define TFLM_API_END
#else
#define TFLM_API_BEGIN namespace micro {
#define TFLM_API_END }
#endif

namespace tflite {

struct Model;
struct Operator;
enum BuiltinOperator : int32_t { BuiltinOperator_CUSTOM = 32 };

inline const Model *GetModel(const void *file)
{
    uint32_t root;

    memcpy(&root, file, sizeof root);
    return reinterpret_cast<const Model *>(static_cast<const uint8_t *>(file) + root);
}

TFLM_API_BEGIN

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

struct TfLiteContext;
struct TfLiteNode;

struct TfLiteTensor {
    struct {
        int type;
        void *params;
    } quantization;
    struct {
        float scale;
        int32_t zero_point;
    } params;
    union {
        char *raw;
        void *data;
    } data;
    void *dims;
    size_t bytes;
    int type, allocation_type;
    bool is_variable;
};

struct TFLMRegistration {
    void *(*init)(TfLiteContext *, const char *, size_t);
    void (*free)(TfLiteContext *, void *);
    TfLiteStatus (*prepare)(TfLiteContext *, TfLiteNode *);
    TfLiteStatus (*invoke)(TfLiteContext *, TfLiteNode *);
    void (*reset)(TfLiteContext *, void *);
    int32_t builtin_code;
    const char *custom_name;
};

class BuiltinDataAllocator;
class MicroResourceVariables;

using Parser = TfLiteStatus (*)(const Operator *, BuiltinDataAllocator *, void **);

class MicroOpResolver {
public:
    virtual const TFLMRegistration *FindOp(BuiltinOperator op) const = 0;
    virtual const TFLMRegistration *FindOp(const char *op) const = 0;
    virtual Parser GetOpDataParser(BuiltinOperator op) const = 0;
    virtual ~MicroOpResolver() {}
};

class MicroProfilerInterface {
public:
    virtual ~MicroProfilerInterface() {}
    virtual uint32_t BeginEvent(const char *tag) = 0;
    virtual void EndEvent(uint32_t handle) = 0;
};

enum class MemoryPlannerType { kGreedy, kLinear };

class MicroAllocator {
public:
    static MicroAllocator *Create(uint8_t *arena, size_t bytes, MemoryPlannerType planner = MemoryPlannerType::kGreedy);
    size_t used_bytes() const;
};

class MicroInterpreter {
public:
    MicroInterpreter(const Model *model, const MicroOpResolver &resolver, MicroAllocator *allocator,
                     MicroResourceVariables *resources = nullptr, MicroProfilerInterface *profiler = nullptr);
    ~MicroInterpreter();
    TfLiteStatus AllocateTensors();
    TfLiteStatus Invoke();
    TfLiteTensor *input(size_t index);
    TfLiteTensor *output(size_t index);

private:
    void *opaque[32];
};

TFLM_API_END
} // namespace tflite

#endif
