#include "tl_forward.h"

#include "tinyloc_kernels.h"

/* exp(energies) in place, after the largest of them has been taken off. */
static void odds(float energies[CHAIN_ROOMS])
{
    float most = energies[0];

    for (int32_t room = 1; room < CHAIN_ROOMS; room++)
        if (energies[room] > most)
            most = energies[room];
    for (int32_t room = 0; room < CHAIN_ROOMS; room++)
        energies[room] = tl_expf(energies[room] - most);
}

void tl_forward_seen(const chain_score scores[CHAIN_ROOMS], float seen[CHAIN_ROOMS])
{
    for (int32_t room = 0; room < CHAIN_ROOMS; room++)
        seen[room] = CHAIN_REAL_SCORE(scores[room]);
    odds(seen);
}

void tl_forward_begin(const chain_score scores[CHAIN_ROOMS], float forward[CHAIN_ROOMS])
{
    for (int32_t room = 0; room < CHAIN_ROOMS; room++)
        forward[room] = chain_crf_start[room] + CHAIN_REAL_SCORE(scores[room]);
    odds(forward);
}

void tl_forward_step(const float from[CHAIN_ROOMS], const float seen[CHAIN_ROOMS], float to[CHAIN_ROOMS])
{
    for (int32_t after = 0; after < CHAIN_ROOMS; after++) {
        float sum = 0.0f;
        for (int32_t before = 0; before < CHAIN_ROOMS; before++)
            sum += from[before] * chain_odds_transition[before][after];
        to[after] = sum * seen[after];
    }
    tl_forward_scale(to);
}

void tl_forward_scale(float numbers[CHAIN_ROOMS])
{
    float most = numbers[0];

    for (int32_t room = 1; room < CHAIN_ROOMS; room++)
        if (numbers[room] > most)
            most = numbers[room];
    for (int32_t room = 0; room < CHAIN_ROOMS; room++)
        numbers[room] /= most;
}

int32_t tl_forward_likeliest(const float numbers[CHAIN_ROOMS], const float times[CHAIN_ROOMS])
{
    int32_t best = 0;

    for (int32_t room = 1; room < CHAIN_ROOMS; room++)
        if (numbers[room] * times[room] > numbers[best] * times[best])
            best = room;
    return best;
}
