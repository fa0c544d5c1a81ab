/* What the runner runs on every record: the compiled model by itself (work_model.c), or the chain from packets to rooms
 * around it (work_chain.c). */
#ifndef TINYLOC_WORK_H
#define TINYLOC_WORK_H

#include <stdint.h>

struct work {
    void (*init)(void);
    void (*run)(void); /* what is counted */
    void *(*input)(unsigned i);
    const void *(*output)(unsigned i);
    const uint32_t *input_bytes, *output_bytes; /* of each */
    uint32_t n_inputs, n_outputs;
    uint32_t all_input_bytes, all_output_bytes;
};

extern const struct work runner_work;

#endif
