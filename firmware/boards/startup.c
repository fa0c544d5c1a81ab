/* From reset to the runner, for any Cortex-M with an FPU: vectors, FPU, painted stack, data and bss, MPU. */
#include "fault.h"
#include "mpu.h"
#include "runner.h"
#include "symbols.h"

#define CPACR (*(volatile uint32_t *)0xE000ED88u) /* coprocessor access */
#define CCR (*(volatile uint32_t *)0xE000ED14u)   /* configuration and control */
#define CPACR_FPU (0xFu << 20)
#define CCR_DIV_0_TRP (1u << 4)

void reset(void);

/* No interrupt is ever enabled, and the configurable faults stay off, so that each of them becomes a HardFault. */
__attribute__((section(".vectors"), used)) static const struct {
    const uint32_t *stack;
    void (*handlers[15])(void);
} vectors = {
    .stack = __stack_top,
    .handlers = {reset, fault_entry, fault_entry, fault_entry, fault_entry, fault_entry, fault_entry, fault_entry,
                 fault_entry, fault_entry, fault_entry, fault_entry, fault_entry, fault_entry, fault_entry},
};

static void enable_fpu(void)
{
    CPACR |= CPACR_FPU;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
}

/* Inlined, so that no frame of its own lies in what it paints. */
__attribute__((always_inline)) static inline void paint_stack(void)
{
    uint32_t *sp;

    __asm__ volatile("mov %0, sp" : "=r"(sp));
    for (volatile uint32_t *word = __stack_bottom; word < sp; word++)
        *word = STACK_PAINT;
}

static void fill_memory(void)
{
    const uint32_t *from = __data_load;

    for (uint32_t *to = __data_start; to < __data_end; to++)
        *to = *from++;
    for (uint32_t *to = __bss_start; to < __bss_end; to++)
        *to = 0;
}

void reset(void)
{
    enable_fpu();
    paint_stack();
    fill_memory();
    mpu_enable();
    CCR |= CCR_DIV_0_TRP;
    runner_run();
}
