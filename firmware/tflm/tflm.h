/* What the work on TFLite Micro needs besides the library: memory for its arena, and a way out. */
#ifndef TINYLOC_TFLM_H
#define TINYLOC_TFLM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The .tflite file, by model.S. */
extern const uint8_t tflm_model[];

/* All memory that the library may have, on a boundary of 16 bytes. To be asked once, before its first use. */
uint8_t *tflm_arena(size_t *bytes);

/* Says what happened in an arena of so many bytes, after all that the library said, and ends the run. */
__attribute__((noreturn)) void tflm_refuse(const char *what, size_t arena_bytes);

#ifdef __cplusplus
}
#endif

#endif
