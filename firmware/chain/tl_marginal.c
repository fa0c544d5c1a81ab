/* tl_decode.h for models that decide by marginals: the likeliest room at the window's last step. */
#include "tl_decode.h"

#include <string.h>

#include "tl_forward.h"

int32_t tl_decode(const chain_score *scores)
{
    float forward[CHAIN_ROOMS], seen[CHAIN_ROOMS], next[CHAIN_ROOMS];

    tl_forward_begin(scores, forward);
    for (int step = 1; step < CHAIN_LENGTH; step++) {
        scores += CHAIN_ROOMS;
        tl_forward_seen(scores, seen);
        tl_forward_step(forward, seen, next);
        memcpy(forward, next, sizeof forward);
    }
    return tl_forward_likeliest(forward, chain_odds_end);
}
