/* The arena on a board: all of the device's RAM that lies above the static data. And what a C++ library asks of the
 * system under it, which here has no heap, no exit and nobody to tell: every such call ends in a named fault. */
#include "tflm.h"

extern "C" {
#include "symbols.h"
}

static constexpr uintptr_t BOUNDARY = 16;

/* Whatever the library wants done before it is used. */
static void construct()
{
    for (void (**call)(void) = __init_array_start; call < __init_array_end; call++)
        (*call)();
}

uint8_t *tflm_arena(size_t *bytes)
{
    uintptr_t end = reinterpret_cast<uintptr_t>(__ram_start) + reinterpret_cast<uintptr_t>(__ram_size);
    uintptr_t start = (reinterpret_cast<uintptr_t>(__bss_end) + BOUNDARY - 1) / BOUNDARY * BOUNDARY;

    construct();
    *bytes = start < end ? end - start : 0;
    return reinterpret_cast<uint8_t *>(start);
}

extern "C" {
void *__dso_handle;

/* Nothing ever exits, so there is nothing to do then. */
int __aeabi_atexit(void *, void (*)(void *), void *)
{
    return 0;
}

int __cxa_atexit(void (*)(void *), void *, void *)
{
    return 0;
}

__attribute__((noreturn)) void __cxa_pure_virtual()
{
    __builtin_trap();
}

__attribute__((noreturn)) void abort()
{
    __builtin_trap();
}

__attribute__((noreturn)) void __assert_func(const char *, int, const char *, const char *)
{
    __builtin_trap();
}
}

void operator delete(void *) noexcept
{
    __builtin_trap();
}

void operator delete(void *, size_t) noexcept
{
    __builtin_trap();
}
