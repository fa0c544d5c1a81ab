#include "runner.h"

#include <stddef.h>

#include "port.h"
#include "work.h"

#define WORD sizeof(uint32_t)
#define PADDED(bytes) (((bytes) + WORD - 1) / WORD * WORD)
#define IN_STRIDE (WORD + PADDED((size_t)runner_work.all_input_bytes))
#ifdef TINYLOC_PROFILE
#include "model.h"
#define PROFILE_WORDS TINYLOC_STEPS
#else
#define PROFILE_WORDS 0
#endif
#define OUT_STRIDE ((2 + PROFILE_WORDS) * WORD + PADDED((size_t)runner_work.all_output_bytes))
#define HEADER_WORDS 4

/* The fault handler ends the run from anywhere, so what is finished is known here and not in a local variable. */
static uint8_t *output;
static uint32_t finished;

/* Not memcpy: what libc code an image holds, and its size tells of, shall be what the model itself needs. */
static void copy(void *to, const void *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
}

void runner_end(enum runner_status status, const struct runner_fault *fault)
{
    /* Before port_output there is no room for records, so the trailer travels alone. */
    static uint32_t alone[sizeof(struct runner_trailer) / WORD];
    uint8_t *start = output != NULL ? output : (uint8_t *)alone;
    struct runner_trailer trailer = {
        .magic = RUNNER_MAGIC_END,
        .status = (uint32_t)status,
        .records = finished,
        .stack_high_water = port_stack_high_water(),
    };

    if (fault != NULL)
        trailer.fault = *fault;
    copy(start + finished * OUT_STRIDE, &trailer, sizeof trailer);
    port_finish(start, finished * OUT_STRIDE + sizeof trailer, status != RUNNER_OK);
}

/* The number of records in the blob; ends the run if it is not a blob for this model. */
static uint32_t check_header(const uint8_t *blob, size_t bytes)
{
    uint32_t header[HEADER_WORDS];

    if (bytes < sizeof header)
        runner_end(RUNNER_BAD_INPUT, NULL);
    copy(header, blob, sizeof header);
    if (header[0] != RUNNER_MAGIC_IN || header[2] != runner_work.all_input_bytes ||
        header[3] != runner_work.all_output_bytes || header[1] > (bytes - sizeof header) / IN_STRIDE)
        runner_end(RUNNER_BAD_INPUT, NULL);
    return header[1];
}

static void put_inputs(const uint8_t *from)
{
    for (unsigned i = 0; i < runner_work.n_inputs; i++) {
        copy(runner_work.input(i), from, runner_work.input_bytes[i]);
        from += runner_work.input_bytes[i];
    }
}

static void take_outputs(uint8_t *to)
{
    for (unsigned i = 0; i < runner_work.n_outputs; i++) {
        copy(to, runner_work.output(i), runner_work.output_bytes[i]);
        to += runner_work.output_bytes[i];
    }
}

static void run_record(const uint8_t *in, uint8_t *out)
{
    uint32_t flags;
    uint64_t instructions;

    copy(&flags, in, sizeof flags);
    if (flags & RUNNER_RESET)
        runner_work.init();
    put_inputs(in + WORD);
    instructions = port_instructions(runner_work.run);
    copy(out, &instructions, sizeof instructions);
    out += sizeof instructions;
#ifdef TINYLOC_PROFILE
    port_steps((uint32_t *)(void *)out);
    out += PROFILE_WORDS * WORD;
#endif
    take_outputs(out);
}

void runner_run(void)
{
    size_t bytes;
    const uint8_t *blob = port_input(&bytes);
    const uint8_t *in = blob + HEADER_WORDS * WORD;
    uint32_t records;

    output = NULL;
    finished = 0;
    records = check_header(blob, bytes);
    output = port_output(in + records * IN_STRIDE, records * OUT_STRIDE + sizeof(struct runner_trailer));
    if (output == NULL)
        runner_end(RUNNER_TOO_BIG, NULL);

    runner_work.init();
    for (; finished < records; finished++) {
        run_record(in, output + finished * OUT_STRIDE);
        in += IN_STRIDE;
    }
    runner_end(RUNNER_OK, NULL);
}
