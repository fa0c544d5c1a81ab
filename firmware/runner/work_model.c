/* An inference a record. */
#include "model.h"
#include "work.h"

const struct work runner_work = {
    .init = tinyloc_init,
    .run = tinyloc_run,
    .input = tinyloc_input,
    .output = tinyloc_output,
    .input_bytes = tinyloc_input_bytes,
    .output_bytes = tinyloc_output_bytes,
    .n_inputs = TINYLOC_N_INPUTS,
    .n_outputs = TINYLOC_N_OUTPUTS,
    .all_input_bytes = TINYLOC_INPUT_BYTES,
    .all_output_bytes = TINYLOC_OUTPUT_BYTES,
};
