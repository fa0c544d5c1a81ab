#include "fault.h"

#include "runner.h"
#include "symbols.h"

#define CFSR (*(volatile uint32_t *)0xE000ED28u)
#define MMFAR (*(volatile uint32_t *)0xE000ED34u)
#define BFAR (*(volatile uint32_t *)0xE000ED38u)
#define CFSR_MMARVALID (1u << 7)
#define CFSR_BFARVALID (1u << 15)
#define FRAME_PC 6 /* r0-r3, r12, lr, pc, xpsr */
#define FRAME_WORDS 8

void fault_report(const uint32_t *frame) __attribute__((noreturn, used));

void fault_report(const uint32_t *frame)
{
    struct runner_fault fault = {.sp = (uint32_t)frame};

    __asm__ volatile("mrs %0, ipsr" : "=r"(fault.exception));
    fault.cause = CFSR;
    if (fault.cause & CFSR_MMARVALID)
        fault.address = MMFAR;
    else if (fault.cause & CFSR_BFARVALID)
        fault.address = BFAR;
    /* After an overflow the frame could not be written, and what lies there is no program counter. */
    if (frame >= __stack_bottom && frame + FRAME_WORDS <= __stack_top)
        fault.pc = frame[FRAME_PC];
    runner_end(RUNNER_FAULT, &fault);
}

/* The device's stack may be what broke, so the report has one of its own, in the test bench's memory. */
__attribute__((naked)) void fault_entry(void)
{
    __asm__("mov r0, sp\n\t"
            "ldr r1, =__report_stack_top\n\t"
            "mov sp, r1\n\t"
            "b fault_report");
}
