/* PMSAv8 memory protection (Armv8-M Architecture Reference Manual, B9): what is in no region cannot be reached. */
#include "mpu.h"

#include <stdint.h>

#include "board.h"
#include "symbols.h"

#define MPU_CTRL (*(volatile uint32_t *)0xE000ED94u)
#define MPU_RNR (*(volatile uint32_t *)0xE000ED98u)
#define MPU_RBAR (*(volatile uint32_t *)0xE000ED9Cu)
#define MPU_RLAR (*(volatile uint32_t *)0xE000EDA0u)
#define MPU_MAIR0 (*(volatile uint32_t *)0xE000EDC0u)

#define CTRL_ENABLE 1u
#define RLAR_ENABLE 1u
#define RLAR_ATTRIBUTES(index) ((index) << 1)
#define RBAR_NEVER_EXECUTE 1u
#define RBAR_READ_WRITE (1u << 1) /* also without privilege */
#define RBAR_READ_ONLY (3u << 1)

enum { MEMORY = 0, REGISTERS = 1 }; /* numbers of attributes in MAIR0 */
#define MAIR_WRITE_THROUGH 0xAAu
#define MAIR_DEVICE 0x04u

#define FPGAIO_BYTES 4096u

/* `size` bytes from `base` on, both multiples of 32. */
static void region(uint32_t number, uint32_t base, uint32_t size, uint32_t access, uint32_t attributes)
{
    MPU_RNR = number;
    MPU_RBAR = base | access;
    MPU_RLAR = ((base + size - 1u) & ~31u) | RLAR_ATTRIBUTES(attributes) | RLAR_ENABLE;
}

void mpu_enable(void)
{
    const uint32_t data = RBAR_READ_WRITE | RBAR_NEVER_EXECUTE;

    MPU_MAIR0 = MAIR_WRITE_THROUGH | MAIR_DEVICE << 8;
    region(0, (uint32_t)__code_start, (uint32_t)__code_size, RBAR_READ_ONLY, MEMORY);
    region(1, (uint32_t)__ram_start, (uint32_t)__ram_size, data, MEMORY);
    region(2, (uint32_t)__bench_start, (uint32_t)__bench_size, data, MEMORY);
    region(3, BOARD_FPGAIO, FPGAIO_BYTES, data, REGISTERS);
    MPU_CTRL = CTRL_ENABLE;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
}
