/* tl_online.h for models that decide by marginals: tinyloc.models.crf.OnlineMarginal. Without a lag it is the forward
 * recursion alone, a filter; with one, every answer goes back over the last CHAIN_LAG steps. */
#include "tl_online.h"

#include <string.h>

#include "tl_forward.h"

#define HELD (CHAIN_LAG + 1)

static struct {
    float forward[HELD][CHAIN_ROOMS]; /* a row a step */
    float seen[HELD][CHAIN_ROOMS];    /* exp(score) of the same steps, for the way back */
    uint32_t newest;                  /* row */
    uint32_t steps;                   /* or CHAIN_LAG + 1 where there were more */
} stream;

/* The row of `age` steps ago. */
static uint32_t row(uint32_t age)
{
    return (stream.newest + HELD - age) % HELD;
}

#if CHAIN_LAG
/* From a step to the one before it: how likely what came after is, for every room there. */
static void step_back(float backward[CHAIN_ROOMS], const float seen[CHAIN_ROOMS])
{
    float after[CHAIN_ROOMS];

    for (int32_t room = 0; room < CHAIN_ROOMS; room++)
        after[room] = seen[room] * backward[room];
    for (int32_t before = 0; before < CHAIN_ROOMS; before++) {
        float sum = 0.0f;
        for (int32_t room = 0; room < CHAIN_ROOMS; room++)
            sum += chain_odds_transition[before][room] * after[room];
        backward[before] = sum;
    }
    tl_forward_scale(backward);
}
#endif

void tl_online_begin(void)
{
    memset(&stream, 0, sizeof stream);
}

int tl_online_begun(void)
{
    return stream.steps > 0;
}

void tl_online_push(const chain_score scores[CHAIN_ROOMS])
{
    float next[CHAIN_ROOMS];
    const uint32_t newest = (stream.newest + 1) % HELD;

    tl_forward_seen(scores, stream.seen[newest]);
    if (stream.steps == 0)
        tl_forward_begin(scores, next);
    else
        tl_forward_step(stream.forward[stream.newest], stream.seen[newest], next);
    memcpy(stream.forward[newest], next, sizeof next);
    stream.newest = newest;
    if (stream.steps <= CHAIN_LAG)
        stream.steps++;
}

int32_t tl_online_room(void)
{
    float backward[CHAIN_ROOMS];

    if (stream.steps <= CHAIN_LAG)
        return TL_NO_ROOM;
    for (int32_t room = 0; room < CHAIN_ROOMS; room++)
        backward[room] = 1.0f;
#if CHAIN_LAG
    for (uint32_t age = 0; age < CHAIN_LAG; age++)
        step_back(backward, stream.seen[row(age)]);
#endif
    return tl_forward_likeliest(stream.forward[row(CHAIN_LAG)], backward);
}

#if CHAIN_LAG
void tl_online_finish(int32_t rooms[CHAIN_LAG])
{
    const uint32_t held = stream.steps < CHAIN_LAG ? stream.steps : CHAIN_LAG;
    float backward[CHAIN_ROOMS];

    for (uint32_t i = held; i < CHAIN_LAG; i++)
        rooms[i] = TL_NO_ROOM;
    memcpy(backward, chain_odds_end, sizeof backward);
    for (uint32_t age = 0; age < held; age++) {
        rooms[held - 1 - age] = tl_forward_likeliest(stream.forward[row(age)], backward);
        step_back(backward, stream.seen[row(age)]);
    }
}
#endif
