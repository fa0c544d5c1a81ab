/* What sections.ld knows. Only the addresses of these mean something: a size is the address of its symbol. */
#ifndef TINYLOC_SYMBOLS_H
#define TINYLOC_SYMBOLS_H

#include <stdint.h>

extern uint32_t __stack_bottom[], __stack_top[];
extern uint32_t __data_start[], __data_end[], __data_load[];
extern uint32_t __bss_start[], __bss_end[];
extern uint8_t __code_start[], __code_size[];
extern uint8_t __ram_start[], __ram_size[];
extern uint8_t __bench_start[], __bench_size[], __bench_blob[];

/* Calls to be made before C++ code runs. */
extern void (*__init_array_start[])(void), (*__init_array_end[])(void);

/* What a word of the stack holds that was never used. */
#define STACK_PAINT 0x5AC3A53Cu

#endif
