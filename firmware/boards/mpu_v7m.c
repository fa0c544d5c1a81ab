/* PMSAv7 memory protection (Armv7-M Architecture Reference Manual, B3.5): what is in no region cannot be reached. */
#include "mpu.h"

#include <stdint.h>

#include "board.h"
#include "symbols.h"

#define MPU_CTRL (*(volatile uint32_t *)0xE000ED94u)
#define MPU_RNR (*(volatile uint32_t *)0xE000ED98u)
#define MPU_RBAR (*(volatile uint32_t *)0xE000ED9Cu)
#define MPU_RASR (*(volatile uint32_t *)0xE000EDA0u)

#define CTRL_ENABLE 1u
#define RASR_ENABLE 1u
#define RASR_NEVER_EXECUTE (1u << 28)
#define RASR_READ_WRITE (3u << 24)
#define RASR_READ_ONLY (6u << 24)
#define RASR_MEMORY (2u << 16) /* normal memory, write-through */
#define RASR_DEVICE (1u << 16)
#define CODE (RASR_READ_ONLY | RASR_MEMORY)
#define DATA (RASR_READ_WRITE | RASR_MEMORY | RASR_NEVER_EXECUTE)
#define REGISTERS (RASR_READ_WRITE | RASR_DEVICE | RASR_NEVER_EXECUTE)

#define PARTS 8u /* a region is split in eight parts, each of which can be left out */
#define FPGAIO_BYTES 4096u

/* One region of `size` bytes, a power of two, at a multiple of it; only its first `parts` eighths are reachable. */
static void region(uint32_t *number, uint32_t base, uint32_t size, uint32_t parts, uint32_t attributes)
{
    uint32_t log2 = 31u - (uint32_t)__builtin_clz(size);
    uint32_t left_out = (0xFFu << parts) & 0xFFu;

    MPU_RNR = (*number)++;
    MPU_RBAR = base;
    MPU_RASR = attributes | left_out << 8 | (log2 - 1u) << 1 | RASR_ENABLE;
}

static uint32_t power_of_two_from(uint32_t size)
{
    return size == 1u ? 1u : 1u << (32u - (uint32_t)__builtin_clz(size - 1u));
}

/* Any size that is a multiple of 128 bytes, up to 4 MB, in at most five regions: one covers as many whole eighths of
 * itself as fit, the next, an eighth as large, continues where it ends. */
static void capped_ram(uint32_t *number, uint32_t base, uint32_t bytes)
{
    uint32_t size = power_of_two_from(bytes);

    while (bytes > 0) {
        uint32_t part = size / PARTS;
        uint32_t parts = bytes / part;

        if (parts > 0)
            region(number, base, size, parts, DATA);
        base += parts * part;
        bytes -= parts * part;
        size = part;
    }
}

void mpu_enable(void)
{
    uint32_t number = 0;

    region(&number, (uint32_t)__code_start, (uint32_t)__code_size, PARTS, CODE);
    region(&number, (uint32_t)__bench_start, (uint32_t)__bench_size, PARTS, DATA);
    region(&number, BOARD_FPGAIO, FPGAIO_BYTES, PARTS, REGISTERS);
    capped_ram(&number, (uint32_t)__ram_start, (uint32_t)__ram_size);
    MPU_CTRL = CTRL_ENABLE;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
}
