#include "semihosting.h"

#include <stdint.h>

enum { SYS_OPEN = 0x01, SYS_CLOSE = 0x02, SYS_WRITE0 = 0x04, SYS_WRITE = 0x05, SYS_EXIT_EXTENDED = 0x20 };
enum { OPEN_WB = 5 };
enum { STOPPED_APPLICATION_EXIT = 0x20026 };

static int32_t call(int32_t operation, const void *arguments)
{
    register int32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = arguments;

    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static size_t length_of(const char *name)
{
    size_t length = 0;

    while (name[length] != '\0')
        length++;
    return length;
}

int semihosting_write_file(const char *name, const void *data, size_t bytes)
{
    const uintptr_t open[] = {(uintptr_t)name, OPEN_WB, length_of(name)};
    int32_t file = call(SYS_OPEN, open);

    if (file < 0)
        return 0;

    const uintptr_t write[] = {(uintptr_t)file, (uintptr_t)data, bytes};
    const uintptr_t close[] = {(uintptr_t)file};
    int32_t not_written = call(SYS_WRITE, write);
    return call(SYS_CLOSE, close) == 0 && not_written == 0;
}

void semihosting_say(const char *text)
{
    call(SYS_WRITE0, text);
}

void semihosting_exit(int code)
{
    const uintptr_t arguments[] = {STOPPED_APPLICATION_EXIT, (uintptr_t)code};

    for (;;)
        call(SYS_EXIT_EXTENDED, arguments);
}
