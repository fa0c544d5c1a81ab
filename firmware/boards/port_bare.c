/* The runner on a board in QEMU: blobs in the test bench's memory, output by semihosting, instructions by `-icount`. */
#include "board.h"
#include "port.h"
#include "semihosting.h"
#include "symbols.h"

/* `-icount shift=10` makes every instruction last 2^10 ns of the machine's time, so its clocks count instructions:
 * 25.6 ticks of a 25 MHz counter each, so that rounding to the nearest whole instruction is exact. */
#define NS_PER_INSTRUCTION 1024u
#define NS_PER_S 1000000000u

#define SECONDS (*(volatile uint32_t *)(BOARD_FPGAIO + 0x10u)) /* CLK1HZ */
#define TICKS (*(volatile uint32_t *)(BOARD_FPGAIO + 0x18u))   /* COUNTER, at BOARD_CLOCK_HZ */

const uint8_t *port_input(size_t *bytes)
{
    *bytes = (size_t)(__bench_start + (uint32_t)__bench_size - __bench_blob);
    return __bench_blob;
}

uint8_t *port_output(const uint8_t *input_end, size_t bytes)
{
    size_t left = (size_t)(__bench_start + (uint32_t)__bench_size - input_end);

    return bytes <= left ? __bench_blob + (input_end - __bench_blob) : NULL;
}

/* Ticks from just before to just after the call. Never inlined or specialised: its own cost must be the same for
 * every `work`. The seconds tell how often the 32-bit counter, which wraps after 171 s, went round. */
__attribute__((noipa)) static uint64_t ticks_of(void (*work)(void))
{
    uint32_t seconds = SECONDS;
    uint32_t ticks = TICKS;

    work();
    ticks = TICKS - ticks;
    seconds = SECONDS - seconds;

    /* Whole turns: the time by the seconds less the part that the counter shows, to the nearest turn. */
    int64_t turned = (int64_t)seconds * BOARD_CLOCK_HZ - (int64_t)ticks;
    uint64_t turns = turned > 0 ? ((uint64_t)turned + (1ull << 31)) >> 32 : 0;
    return (turns << 32) + ticks;
}

__attribute__((naked)) static void one_instruction(void)
{
    __asm__("bx lr");
}

static uint64_t instructions(uint64_t ticks)
{
    const uint64_t ns_per_tick = NS_PER_S / BOARD_CLOCK_HZ;

    return (ticks * ns_per_tick + NS_PER_INSTRUCTION / 2) / NS_PER_INSTRUCTION;
}

uint64_t port_instructions(void (*work)(void))
{
    return instructions(ticks_of(work)) - instructions(ticks_of(one_instruction)) + 1;
}

#ifdef TINYLOC_PROFILE
#include "model.h"

__attribute__((noipa)) void tinyloc_step(void);

static uint32_t step_ticks[TINYLOC_STEPS + 1], steps;

void tinyloc_step(void)
{
    step_ticks[steps++] = TICKS;
}

/* A step of nothing: what lies between two readings of the clock besides the model's own work. */
static void no_step(void)
{
    tinyloc_step();
    tinyloc_step();
}

static uint32_t between(uint32_t step)
{
    return (uint32_t)instructions(step_ticks[step + 1] - step_ticks[step]);
}

void port_steps(uint32_t counts[])
{
    for (uint32_t i = 0; i < TINYLOC_STEPS; i++)
        counts[i] = between(i);
    steps = 0;
    no_step();
    steps = 0;
    for (uint32_t i = 0; i < TINYLOC_STEPS; i++)
        counts[i] -= between(0);
}
#endif

uint32_t port_stack_high_water(void)
{
    const uint32_t *word = __stack_bottom;

    while (word < __stack_top && *word == STACK_PAINT)
        word++;
    return (uint32_t)(__stack_top - word) * (uint32_t)sizeof *word;
}

void port_say(const char *text)
{
    semihosting_say(text);
    semihosting_say("\n");
}

void port_finish(const uint8_t *output, size_t bytes, int failed)
{
    int written = semihosting_write_file("out.bin", output, bytes);

    semihosting_exit(failed || !written);
}
