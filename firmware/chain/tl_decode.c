#include "tl_decode.h"

#include <string.h>

static int32_t argmax(const float energies[CHAIN_ROOMS])
{
    int32_t best = 0;

    for (int32_t room = 1; room < CHAIN_ROOMS; room++)
        if (energies[room] > energies[best])
            best = room;
    return best;
}

#if CHAIN_CRF
/* Energy of the best path to `after` at the next step, its own score left out. */
static float best_way(const float best[CHAIN_ROOMS], int after)
{
    float most = best[0] + chain_crf_transition[0][after];

    for (int before = 1; before < CHAIN_ROOMS; before++) {
        const float energy = best[before] + chain_crf_transition[before][after];
        if (energy > most)
            most = energy;
    }
    return most;
}

/* Viterbi's recursion over the window. Its last room alone is asked for, and that is known at the end of the way
 * forward: there are no pointers back, and 2 CHAIN_ROOMS floats are all it needs. */
int32_t tl_decode(const chain_score *scores)
{
    float best[CHAIN_ROOMS], next[CHAIN_ROOMS];

    for (int room = 0; room < CHAIN_ROOMS; room++)
        best[room] = chain_crf_start[room] + CHAIN_REAL_SCORE(scores[room]);
    for (int step = 1; step < CHAIN_LENGTH; step++) {
        scores += CHAIN_ROOMS;
        for (int room = 0; room < CHAIN_ROOMS; room++)
            next[room] = best_way(best, room) + CHAIN_REAL_SCORE(scores[room]);
        memcpy(best, next, sizeof best);
    }
    for (int room = 0; room < CHAIN_ROOMS; room++)
        best[room] += chain_crf_end[room];
    return argmax(best);
}
#else
int32_t tl_decode(const chain_score *scores)
{
    float real[CHAIN_ROOMS];

    scores += (CHAIN_LENGTH - 1) * CHAIN_ROOMS; /* those of the window's last step */
    for (int room = 0; room < CHAIN_ROOMS; room++)
        real[room] = CHAIN_REAL_SCORE(scores[room]);
    return argmax(real);
}
#endif
