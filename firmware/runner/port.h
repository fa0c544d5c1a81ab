/* What the runner needs from the machine under it. */
#ifndef TINYLOC_PORT_H
#define TINYLOC_PORT_H

#include <stddef.h>
#include <stdint.h>

/* The input blob, on a word's boundary; *bytes says how many bytes may be read there. */
const uint8_t *port_input(size_t *bytes);

/* Room for `bytes` of output on a word's boundary, NULL if there is not as much. The input ends at `input_end`. */
uint8_t *port_output(const uint8_t *input_end, size_t bytes);

/* Runs `work` and counts the instructions from its first to its return, both included. 0 where nothing counts. */
uint64_t port_instructions(void (*work)(void));

/* Of the last port_instructions(tinyloc_run): those of each of the model's steps. Only where the model was built to
 * be profiled; its own cost is not in the counts. */
void port_steps(uint32_t counts[]);

/* Deepest use of the stack since the start, bytes. 0 where it is not known. */
uint32_t port_stack_high_water(void);

/* A line for whoever started the run, beside the output. */
void port_say(const char *text);

/* Hands the output to whoever started the run, and stops. */
__attribute__((noreturn)) void port_finish(const uint8_t *output, size_t bytes, int failed);

#endif
