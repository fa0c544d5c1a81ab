/* The runner: takes records of inputs, runs the compiled model on each, gives records of outputs.
 *
 * One source for the host and for every board; port.h is all that differs. Both blobs are little-endian words
 * of 32 bits, and every record starts on one.
 *
 * in    header   RUNNER_MAGIC_IN, records, TINYLOC_INPUT_BYTES, TINYLOC_OUTPUT_BYTES
 *       records  flags (RUNNER_RESET: zero the model's state first), the inputs one after another, padding
 * out   records  instructions (low word, high word), with TINYLOC_PROFILE the instructions of each step, the outputs
 *                one after another, padding
 *       trailer  struct runner_trailer; it is last, so that a run which ended early still hands over what it had
 */
#ifndef TINYLOC_RUNNER_H
#define TINYLOC_RUNNER_H

#include <stdint.h>

#define RUNNER_MAGIC_IN 0x314E4C54u  /* "TLN1" */
#define RUNNER_MAGIC_END 0x31444E45u /* "END1" */
#define RUNNER_RESET 1u

enum runner_status {
    RUNNER_OK = 0,
    RUNNER_BAD_INPUT = 1, /* the blob is not of this format, or of another model */
    RUNNER_TOO_BIG = 2,   /* inputs and outputs do not fit into the test bench's memory */
    RUNNER_FAULT = 3,     /* the processor refused an instruction or an access; the rest of the trailer says which */
    RUNNER_REFUSED = 4    /* the interpreter that `work` calls refuses the model or an inference; port_say said why */
};

/* All that the processor tells about a fault; zeros where there was none. Naming it is the reader's work. */
struct runner_fault {
    uint32_t exception; /* number of the exception (IPSR) */
    uint32_t cause;     /* CFSR: MemManage, bus and usage fault status */
    uint32_t address;   /* the address that could not be read or written, 0 if not known */
    uint32_t pc;        /* the instruction that did it, 0 if not known */
    uint32_t sp;        /* where the stack had grown to */
};

struct runner_trailer {
    uint32_t magic;
    uint32_t status;
    uint32_t records; /* complete records before this trailer */
    uint32_t stack_high_water;
    struct runner_fault fault;
};

__attribute__((noreturn)) void runner_run(void);

/* Hands over the finished records and ends the run. For runner_run itself and for a board's fault handler. */
__attribute__((noreturn)) void runner_end(enum runner_status status, const struct runner_fault *fault);

#endif
