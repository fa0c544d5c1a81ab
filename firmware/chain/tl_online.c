#include "tl_online.h"

#include <string.h>

static struct {
    float best[CHAIN_ROOMS]; /* energy of the best path to each room, less the largest of them */
    uint32_t seen;           /* steps, or CHAIN_LAG + 1 where there were more */
#if CHAIN_LAG
    chain_room before[CHAIN_LAG][CHAIN_ROOMS]; /* the last room but one of that path, a row a step */
    uint32_t newest;                           /* row */
#endif
} stream;

static int32_t argmax(const float energies[CHAIN_ROOMS])
{
    int32_t best = 0;

    for (int32_t room = 1; room < CHAIN_ROOMS; room++)
        if (energies[room] > energies[best])
            best = room; /* of equals the first, as NumPy has it */
    return best;
}

/* The energy of the best path to `after` at the next step, its own score left out; *from: where it comes from. */
static float best_way(int32_t after, int32_t *from)
{
    float most = stream.best[0] + chain_crf_transition[0][after];

    *from = 0;
    for (int32_t before = 1; before < CHAIN_ROOMS; before++) {
        const float energy = stream.best[before] + chain_crf_transition[before][after];
        if (energy > most) {
            most = energy;
            *from = before;
        }
    }
    return most;
}

static void extend(float next[CHAIN_ROOMS])
{
#if CHAIN_LAG
    stream.newest = (stream.newest + 1) % CHAIN_LAG;
#endif
    for (int32_t room = 0; room < CHAIN_ROOMS; room++) {
        int32_t from;
        next[room] = best_way(room, &from);
#if CHAIN_LAG
        stream.before[stream.newest][room] = (chain_room)from;
#endif
    }
}

#if CHAIN_LAG
/* The room at the step before that of `age` steps ago, where the path was in `room`. */
static int32_t step_back(uint32_t age, int32_t room)
{
    return stream.before[(stream.newest + CHAIN_LAG - age) % CHAIN_LAG][room];
}
#endif

void tl_online_begin(void)
{
    memset(&stream, 0, sizeof stream);
}

int tl_online_begun(void)
{
    return stream.seen > 0;
}

void tl_online_push(const chain_score scores[CHAIN_ROOMS])
{
    float next[CHAIN_ROOMS];

    if (stream.seen == 0)
        memcpy(next, chain_crf_start, sizeof next);
    else
        extend(next);
    for (int32_t room = 0; room < CHAIN_ROOMS; room++)
        next[room] += CHAIN_REAL_SCORE(scores[room]);
    /* only differences count, and these stay small */
    const float most = next[argmax(next)];
    for (int32_t room = 0; room < CHAIN_ROOMS; room++)
        stream.best[room] = next[room] - most;
    if (stream.seen <= CHAIN_LAG)
        stream.seen++;
}

int32_t tl_online_room(void)
{
    if (stream.seen <= CHAIN_LAG)
        return TL_NO_ROOM;
    int32_t room = argmax(stream.best);
#if CHAIN_LAG
    for (uint32_t age = 0; age < CHAIN_LAG; age++)
        room = step_back(age, room);
#endif
    return room;
}

#if CHAIN_LAG
void tl_online_finish(int32_t rooms[CHAIN_LAG])
{
    const uint32_t held = stream.seen < CHAIN_LAG ? stream.seen : CHAIN_LAG;
    float energies[CHAIN_ROOMS];

    for (uint32_t i = held; i < CHAIN_LAG; i++)
        rooms[i] = TL_NO_ROOM;
    if (held == 0)
        return;
    for (int32_t room = 0; room < CHAIN_ROOMS; room++)
        energies[room] = stream.best[room] + chain_crf_end[room];
    rooms[held - 1] = argmax(energies);
    for (uint32_t age = 0; age + 1 < held; age++)
        rooms[held - 2 - age] = step_back(age, rooms[held - 1 - age]);
}
#endif
