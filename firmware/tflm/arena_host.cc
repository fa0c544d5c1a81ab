/* The arena on the host: as large as the build says. */
#include "tflm.h"

alignas(16) static uint8_t memory[TFLM_ARENA_BYTES];

uint8_t *tflm_arena(size_t *bytes)
{
    *bytes = sizeof memory;
    return memory;
}
