/* An inference a record, on TFLite Micro. The library and its headers are the reader's (TFLM_DIR); what is used here is
 * their public API and no more. model.h is written by device/tflm_sources.py, which is also the reader of `arena`. */
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#ifdef TFLM_RECORDING
#include "tensorflow/lite/micro/recording_micro_allocator.h"
#endif
#ifdef TINYLOC_PROFILE
#include "tensorflow/lite/micro/micro_profiler_interface.h"
#endif

#include "model.h"
#include "tflm.h"

extern "C" {
#include "port.h"
#include "runner.h"
#include "work.h"
}

/* Versions of 2026 keep these names in tflite::micro, older ones in tflite. */
namespace tflite {
namespace micro {}
}

namespace tinyloc {
using namespace tflite;
using namespace tflite::micro;

namespace {

/* A tensor of the model: its place among the inputs or the outputs. */
struct port {
    unsigned place;
    uint32_t bytes;
};

/* An input that takes what an output was one inference earlier. */
struct state {
    unsigned input, output;
    uint32_t bytes;
    uint8_t zero; /* every byte of real zero */
};

constexpr port inputs[] = {TFLM_INPUTS}, outputs[] = {TFLM_OUTPUTS};
constexpr state states[] = {TFLM_STATES{0, 0, 0, 0}}; /* the last one, of no bytes, marks the end */
constexpr unsigned n_inputs = sizeof inputs / sizeof inputs[0], n_outputs = sizeof outputs / sizeof outputs[0];

/* Between two inferences: the interpreter may lay inputs and outputs over each other, so neither can keep them. */
uint8_t kept[TINYLOC_STATE_BYTES + 1];

/* What the library says of its arena, and how much of an inference it announced; the last output of a record. */
struct {
    uint32_t used;
    uint32_t activations, persistent;              /* head and tail, from here on only with TFLM_RECORDING */
    uint32_t tensors, operators, buffers, variables; /* parts of the tail */
    uint32_t events;                               /* operators announced in the last inference */
} arena;

static_assert(sizeof arena == TFLM_ARENA_REPORT_BYTES, "the Python side has to agree about the layout");

MicroInterpreter *interpreter;
size_t arena_bytes;

void check(bool fine, const char *what)
{
    if (!fine)
        tflm_refuse(what, arena_bytes);
}

void copy(void *to, const void *from, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++)
        static_cast<uint8_t *>(to)[i] = static_cast<const uint8_t *>(from)[i];
}

#ifdef TINYLOC_PROFILE
extern "C" void tinyloc_step(void);

/* The interpreter announces every operator: a step lasts from one announcement to the next. */
class Marks final : public MicroProfilerInterface {
public:
    uint32_t BeginEvent(const char *) override
    {
        if (arena.events++ < TINYLOC_STEPS)
            tinyloc_step();
        return 0;
    }
    void EndEvent(uint32_t) override {}

    /* The end of the last step, and of those that a library without announcements left out. */
    void finish()
    {
        for (uint32_t step = arena.events; step < TINYLOC_STEPS; step++)
            tinyloc_step();
        tinyloc_step();
    }
};

Marks marks;
MicroProfilerInterface *const profiler = &marks;
#else
MicroProfilerInterface *const profiler = nullptr;
#endif

#ifdef TFLM_RECORDING
using Allocator = RecordingMicroAllocator;

uint32_t recorded(const Allocator &allocator, RecordedAllocationType part)
{
    return static_cast<uint32_t>(allocator.GetRecordedAllocation(part).used_bytes);
}

void look_at_arena(const Allocator &allocator)
{
    using Part = RecordedAllocationType;

    arena.activations = static_cast<uint32_t>(allocator.GetSimpleMemoryAllocator()->GetNonPersistentUsedBytes());
    arena.persistent = static_cast<uint32_t>(allocator.GetSimpleMemoryAllocator()->GetPersistentUsedBytes());
    arena.tensors = recorded(allocator, Part::kTfLiteEvalTensorData) +
                    recorded(allocator, Part::kPersistentTfLiteTensorData) +
                    recorded(allocator, Part::kPersistentTfLiteTensorQuantizationData);
    arena.operators = recorded(allocator, Part::kNodeAndRegistrationArray);
    arena.buffers = recorded(allocator, Part::kPersistentBufferData) + recorded(allocator, Part::kOpData);
    arena.variables = recorded(allocator, Part::kTfLiteTensorVariableBufferData);
}
#else
using Allocator = MicroAllocator;

void look_at_arena(const Allocator &) {}
#endif

void start()
{
    static MicroMutableOpResolver<TFLM_N_KINDS> resolver;
    uint8_t *memory = tflm_arena(&arena_bytes);

#define ADD(method) check(resolver.method() == kTfLiteOk, "the resolver refuses " #method);
    TFLM_KINDS(ADD)
#undef ADD

    Allocator *allocator = Allocator::Create(memory, arena_bytes);
    check(allocator != nullptr, "the arena is too small for the allocator itself");
    static MicroInterpreter it(GetModel(tflm_model), resolver, allocator, nullptr, profiler);
    check(it.AllocateTensors() == kTfLiteOk, "AllocateTensors failed");
    for (const port &one : inputs)
        check(it.input(one.place)->bytes == one.bytes, "an input has another size than in the file");
    for (const port &one : outputs)
        check(it.output(one.place)->bytes == one.bytes, "an output has another size than in the file");
    arena.used = static_cast<uint32_t>(allocator->used_bytes());
    look_at_arena(*allocator);
    interpreter = &it;
}

void init()
{
    uint8_t *at = kept;

    if (interpreter == nullptr)
        start();
    for (const state *one = states; one->bytes > 0; one++)
        for (uint32_t i = 0; i < one->bytes; i++)
            *at++ = one->zero;
}

void run()
{
    uint8_t *at = kept;

    for (const state *one = states; one->bytes > 0; at += one++->bytes)
        copy(interpreter->input(one->input)->data.raw, at, one->bytes);
#ifdef TINYLOC_PROFILE
    arena.events = 0;
#endif
    check(interpreter->Invoke() == kTfLiteOk, "Invoke failed");
#ifdef TINYLOC_PROFILE
    marks.finish();
#endif
    at = kept;
    for (const state *one = states; one->bytes > 0; at += one++->bytes)
        copy(at, interpreter->output(one->output)->data.raw, one->bytes);
}

void *input(unsigned i)
{
    return interpreter->input(inputs[i].place)->data.raw;
}

const void *output(unsigned i)
{
    return i < n_outputs ? interpreter->output(outputs[i].place)->data.raw : static_cast<const void *>(&arena);
}

constexpr uint32_t input_bytes[] = {TFLM_INPUT_BYTES}, output_bytes[] = {TFLM_OUTPUT_BYTES, sizeof arena};

} // namespace
} // namespace tinyloc

const struct work runner_work = {
    tinyloc::init,        tinyloc::run,          tinyloc::input,      tinyloc::output,
    tinyloc::input_bytes, tinyloc::output_bytes, tinyloc::n_inputs,   tinyloc::n_outputs + 1,
    TINYLOC_INPUT_BYTES,  TINYLOC_OUTPUT_BYTES,
};
