#include "tl_chain.h"

#include <string.h>

#include "model.h"
#include "tl_features.h"
#if CHAIN_ONLINE
#include "tl_online.h"
#else
#include "tl_decode.h"
#endif
#if CHAIN_QUANTISED
#include <math.h>
#endif

static struct {
    int64_t start;  /* of the open step, us */
    int64_t newest; /* time of the last packet, us */
    int32_t segment, number;
    int open; /* whether there is an open step */
} steps;

/* The last CHAIN_LENGTH steps in the model's own type; `oldest` is the row that the next step takes. */
static struct {
    chain_element rows[CHAIN_LENGTH][CHAIN_FEATURES];
    uint32_t oldest;
    uint32_t wait; /* steps until the next window */
} ring;

static void open_step(int64_t start)
{
    steps.start = start;
    steps.number++;
    tl_features_open();
}

static void begin_segment(int64_t start)
{
    steps.open = 1;
    steps.segment++;
    ring.wait = CHAIN_LENGTH; /* rows of the segment before are overwritten before they are read */
    tinyloc_init();
#if CHAIN_ONLINE
    tl_online_begin();
#endif
    open_step(start);
}

static chain_element element(float value, const struct chain_column *column)
{
#if CHAIN_QUANTISED
    /* in double, and ties to even, as the Python runtime quantises its inputs */
    const double units = rint((double)value / column->scale) + column->zero_point;

    return (chain_element)(units < CHAIN_LEAST ? CHAIN_LEAST : units > CHAIN_MOST ? CHAIN_MOST : units);
#else
    (void)column;
    return value;
#endif
}

static void remember(struct tl_step *step)
{
    for (int i = 0; i < CHAIN_FEATURES; i++) {
        const struct chain_column *column = &chain_columns[i];
        step->scaled[i] = (step->measured[i] - column->low) / column->span;
        ring.rows[ring.oldest][i] = element(step->scaled[i], column);
    }
    ring.oldest = (ring.oldest + 1) % CHAIN_LENGTH;
    ring.wait--;
}

/* Copy the window into the model's inputs, oldest step first: each takes some columns of every row. */
static void give_window(void)
{
    for (unsigned i = 0; i < TINYLOC_N_INPUTS; i++) {
        const struct chain_input *input = &chain_inputs[i];
        chain_element *to = tinyloc_input(i);
        for (uint32_t age = 0; age < CHAIN_LENGTH; age++) {
            memcpy(to, ring.rows[(ring.oldest + age) % CHAIN_LENGTH] + input->first, input->columns * sizeof *to);
            to += input->columns;
        }
    }
}

static int32_t decide(const chain_score *scores)
{
#if CHAIN_ONLINE
    /* every step once: of a segment's first window all of them, later those since the window before */
    const uint32_t fresh = tl_online_begun() ? CHAIN_HOP : CHAIN_LENGTH;

    scores += (CHAIN_LENGTH - fresh) * CHAIN_ROOMS;
    for (uint32_t i = 0; i < fresh; i++)
        tl_online_push(scores + i * CHAIN_ROOMS);
    return tl_online_room();
#else
    return tl_decode(scores);
#endif
}

static int32_t room(void)
{
    if (ring.wait)
        return TL_NO_ROOM;
    ring.wait = CHAIN_HOP;
    give_window();
    tinyloc_run();
    return decide(tinyloc_output(0));
}

static void close_step(struct tl_step *step)
{
    tl_features_close(step->measured);
    remember(step);
    step->segment = steps.segment;
    step->number = steps.number;
    step->room = room();
#if CHAIN_LAG
    for (uint32_t i = 0; i < CHAIN_LAG; i++)
        step->rest[i] = TL_NO_ROOM;
#endif
}

void tl_chain_init(void)
{
    memset(&steps, 0, sizeof steps);
    steps.segment = steps.number = -1;
}

int tl_chain_push(const struct tl_packet *packet, struct tl_step *step)
{
    if (steps.open && packet->time - steps.newest > CHAIN_GAP_US)
        return tl_chain_close(step);
    if (!steps.open)
        begin_segment(packet->time);
    if (packet->time >= steps.start + CHAIN_BIN_US) {
        close_step(step);
        open_step(steps.start + CHAIN_BIN_US);
        return 1;
    }
    steps.newest = packet->time;
    tl_features_add(packet);
    return 0;
}

int tl_chain_close(struct tl_step *step)
{
    if (!steps.open)
        return 0;
    steps.open = 0;
    close_step(step);
#if CHAIN_LAG
    tl_online_finish(step->rest);
#endif
    return 1;
}
