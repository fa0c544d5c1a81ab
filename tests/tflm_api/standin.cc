/* A stand-in for TFLite Micro's library, see README.md. An inference calls every operator, which takes as many
 * instructions as STANDIN_WORK says, and then every byte of an output is the sum of its place and of all input bytes.
 * A model takes STANDIN_BYTES of the arena for each operator, and its tensors'. */
#include <stdarg.h>
#include <stdlib.h>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"
#include "tensorflow/lite/micro/recording_micro_allocator.h"

#ifndef STANDIN_WORK
#define STANDIN_WORK 100
#endif
#define STANDIN_BYTES 64

extern "C" void DebugLog(const char *format, va_list args);

namespace tflite {
TFLM_API_BEGIN

static void MicroPrintf(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    DebugLog(format, args);
    va_end(args);
}

// ── the arena ───────────────────────────────────────────────────────────────────────────────────
/* Lies at the arena's start, and is all that there is of an allocator. */
struct Arena {
    size_t bytes, used, tensors, operators;
};

static Arena *arena_of(const void *allocator)
{
    return static_cast<Arena *>(const_cast<void *>(allocator));
}

static void *create(uint8_t *memory, size_t bytes)
{
    if (bytes < sizeof(Arena))
        return nullptr;
    *reinterpret_cast<Arena *>(memory) = Arena{bytes, sizeof(Arena), 0, 0};
    return memory;
}

static uint8_t *allocate(Arena *arena, size_t bytes)
{
    bytes = (bytes + 15) / 16 * 16;
    if (bytes > arena->bytes - arena->used) {
        MicroPrintf("Failed to allocate. Requested: %u, available %u, missing: %u", static_cast<unsigned>(bytes),
                    static_cast<unsigned>(arena->bytes - arena->used),
                    static_cast<unsigned>(bytes - (arena->bytes - arena->used)));
        return nullptr;
    }
    arena->used += bytes;
    return reinterpret_cast<uint8_t *>(arena) + arena->used - bytes;
}

MicroAllocator *MicroAllocator::Create(uint8_t *memory, size_t bytes, MemoryPlannerType)
{
    return static_cast<MicroAllocator *>(create(memory, bytes));
}

size_t MicroAllocator::used_bytes() const { return arena_of(this)->used; }

RecordingMicroAllocator *RecordingMicroAllocator::Create(uint8_t *memory, size_t bytes)
{
    return static_cast<RecordingMicroAllocator *>(create(memory, bytes));
}

RecordedAllocation RecordingMicroAllocator::GetRecordedAllocation(RecordedAllocationType type) const
{
    size_t operators = type == RecordedAllocationType::kNodeAndRegistrationArray ? arena_of(this)->operators : 0;
    return {operators, operators, operators / STANDIN_BYTES};
}

const RecordingSingleArenaBufferAllocator *RecordingMicroAllocator::GetSimpleMemoryAllocator() const
{
    return static_cast<const RecordingSingleArenaBufferAllocator *>(static_cast<const void *>(this));
}

size_t SingleArenaBufferAllocator::GetNonPersistentUsedBytes() const { return arena_of(this)->tensors; }
size_t SingleArenaBufferAllocator::GetPersistentUsedBytes() const
{
    return arena_of(this)->used - arena_of(this)->tensors;
}

// ── the file ────────────────────────────────────────────────────────────────────────────────────
template <class T> static T at(const uint8_t *place)
{
    T value;

    memcpy(&value, place, sizeof value);
    return value;
}

static const uint8_t *field(const uint8_t *table, unsigned number)
{
    const uint8_t *vtable = table - at<int32_t>(table);
    unsigned entry = 4 + 2 * number;
    uint16_t offset = entry < at<uint16_t>(vtable) ? at<uint16_t>(vtable + entry) : uint16_t(0);
    return offset ? table + offset : nullptr;
}

/* A vector or a table that a field points to. */
static const uint8_t *followed(const uint8_t *place) { return place + at<uint32_t>(place); }
static const uint8_t *vector(const uint8_t *table, unsigned number) { return followed(field(table, number)); }
static uint32_t length(const uint8_t *vector) { return at<uint32_t>(vector); }
static const uint8_t *element(const uint8_t *vector, uint32_t i) { return vector + 4 + 4 * i; }

static size_t bytes_of(const uint8_t *tensor)
{
    static const uint8_t widths[] = {4, 2, 4, 1, 8, 1, 1, 2, 8, 1};
    const uint8_t *shape = vector(tensor, 0), *type = field(tensor, 1);
    size_t bytes = widths[type ? *type : 0];

    for (uint32_t i = 0; i < length(shape); i++)
        bytes *= static_cast<size_t>(at<int32_t>(element(shape, i)));
    return bytes;
}

/* Number of an operator of the model in the schema. */
static int32_t number_of(const uint8_t *model, const uint8_t *operation)
{
    const uint8_t *index = field(operation, 0);
    const uint8_t *code = followed(element(vector(model, 1), index ? at<uint32_t>(index) : 0));
    const uint8_t *narrow = field(code, 0), *wide = field(code, 3);
    int32_t small = narrow ? static_cast<int8_t>(*narrow) : 0, large = wide ? at<int32_t>(wide) : 0;

    return small > large ? small : large;
}

// ── the interpreter ─────────────────────────────────────────────────────────────────────────────
struct Inside {
    const uint8_t *model, *graph;
    const MicroOpResolver *resolver;
    Arena *arena;
    MicroProfilerInterface *profiler;
    TfLiteTensor *inputs, *outputs;
};

static Inside *inside(void *opaque) { return static_cast<Inside *>(opaque); }

static TfLiteStatus tensors(Inside *it, unsigned list, TfLiteTensor **found)
{
    const uint8_t *places = vector(it->graph, list), *all = vector(it->graph, 0);
    TfLiteTensor *tensor = reinterpret_cast<TfLiteTensor *>(allocate(it->arena, length(places) * sizeof **found));

    *found = tensor;
    for (uint32_t i = 0; tensor && i < length(places); i++, tensor++) {
        *tensor = TfLiteTensor{};
        tensor->bytes = bytes_of(followed(element(all, at<uint32_t>(element(places, i)))));
        tensor->data.raw = reinterpret_cast<char *>(allocate(it->arena, tensor->bytes));
        if (tensor->data.raw == nullptr)
            return kTfLiteError;
        it->arena->tensors += tensor->bytes;
    }
    return *found ? kTfLiteOk : kTfLiteError;
}

MicroInterpreter::MicroInterpreter(const Model *model, const MicroOpResolver &resolver, MicroAllocator *allocator,
                                   MicroResourceVariables *, MicroProfilerInterface *profiler)
{
    static_assert(sizeof(Inside) <= sizeof opaque, "");
    const uint8_t *file = reinterpret_cast<const uint8_t *>(model);

    *inside(opaque) = Inside{file,     followed(element(vector(file, 2), 0)), &resolver, arena_of(allocator),
                             profiler, nullptr,                               nullptr};
}

MicroInterpreter::~MicroInterpreter() {}

TfLiteStatus MicroInterpreter::AllocateTensors()
{
    Inside *it = inside(opaque);
    const uint8_t *operations = vector(it->graph, 3);

    for (uint32_t i = 0; i < length(operations); i++) {
        int32_t number = number_of(it->model, followed(element(operations, i)));

        if (it->resolver->FindOp(static_cast<BuiltinOperator>(number)) == nullptr) {
            MicroPrintf("Didn't find op for builtin opcode '%d'", static_cast<int>(number));
            return kTfLiteError;
        }
    }
    it->arena->operators = length(operations) * STANDIN_BYTES;
    if (allocate(it->arena, it->arena->operators) == nullptr)
        return kTfLiteError;
    return tensors(it, 1, &it->inputs) == kTfLiteOk && tensors(it, 2, &it->outputs) == kTfLiteOk ? kTfLiteOk
                                                                                                : kTfLiteError;
}

TfLiteStatus MicroInterpreter::Invoke()
{
    Inside *it = inside(opaque);
    const uint8_t *operations = vector(it->graph, 3);
    uint8_t sum = 0;

    for (uint32_t i = 0; i < length(operations); i++) {
        int32_t number = number_of(it->model, followed(element(operations, i)));
        uint32_t event = it->profiler ? it->profiler->BeginEvent("an operator") : 0;

        if (it->resolver->FindOp(static_cast<BuiltinOperator>(number))->invoke(nullptr, nullptr) != kTfLiteOk)
            return kTfLiteError;
        if (it->profiler)
            it->profiler->EndEvent(event);
    }
    for (uint32_t i = 0; i < length(vector(it->graph, 1)); i++)
        for (size_t byte = 0; byte < it->inputs[i].bytes; byte++)
            sum = uint8_t(sum + it->inputs[i].data.raw[byte]);
    for (uint32_t i = 0; i < length(vector(it->graph, 2)); i++)
        for (size_t byte = 0; byte < it->outputs[i].bytes; byte++)
            it->outputs[i].data.raw[byte] = char(sum + byte);
    /* As a planner may do: inputs do not outlive their use. */
    for (uint32_t i = 0; i < length(vector(it->graph, 1)); i++)
        memset(it->inputs[i].data.raw, 0x55, it->inputs[i].bytes);
    return kTfLiteOk;
}

TfLiteTensor *MicroInterpreter::input(size_t index) { return inside(opaque)->inputs + index; }
TfLiteTensor *MicroInterpreter::output(size_t index) { return inside(opaque)->outputs + index; }

// ── the operators ───────────────────────────────────────────────────────────────────────────────
#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

#ifdef STANDIN_OVERFLOWS
__attribute__((noinline)) static int deep(int n)
{
    volatile int kept[8];

    kept[n & 7] = n;
    return n < 0 ? 0 : deep(n + 1) + kept[n & 7];
}
#endif

static TfLiteStatus invoke(TfLiteContext *, TfLiteNode *)
{
#ifdef STANDIN_OVERFLOWS
    return deep(0) ? kTfLiteError : kTfLiteOk;
#endif
#ifdef STANDIN_FAILS
    MicroPrintf("operator says %s, %d of %zu", "no", -3, static_cast<size_t>(7));
    return kTfLiteError;
#endif
#ifdef STANDIN_HEAP
    return malloc(9) ? kTfLiteOk : kTfLiteError;
#endif
    __asm__ volatile(".rept " TEXT(STANDIN_WORK) "\n nop\n .endr");
    return kTfLiteOk;
}

#define DEFINE(method, number, kernel, parser)                                         \
    TFLMRegistration Register_##kernel()                                               \
    {                                                                                  \
        return TFLMRegistration{nullptr, nullptr, nullptr, invoke, nullptr, 0, nullptr}; \
    }                                                                                  \
    TfLiteStatus Parse##parser(const Operator *, BuiltinDataAllocator *, void **) { return kTfLiteOk; }
TFLM_API_OPERATORS(DEFINE)

TFLM_API_END
} // namespace tflite
