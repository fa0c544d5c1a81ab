/* Rooms of a stream of scores, with a fixed lag: of CHAIN_LAG steps ago, given all that was seen since. In constant
 * memory, however long the stream is.
 *
 * tl_online.c is Viterbi's search, tinyloc.models.crf.OnlineViterbi to the bit, ties included: a step costs CHAIN_ROOMS^2
 * additions and CHAIN_LAG steps back, and CHAIN_LAG rows of back pointers and CHAIN_ROOMS floats are kept. tl_smooth.c
 * gives the likeliest rooms, tinyloc.models.crf.OnlineMarginal up to rounding: (CHAIN_LAG + 1) CHAIN_ROOMS^2 products a
 * step, and 2 (CHAIN_LAG + 1) CHAIN_ROOMS floats.
 */
#ifndef TL_ONLINE_H
#define TL_ONLINE_H

#include "tl_chain.h"

/* Begin a new stream. */
void tl_online_begin(void);

/* Whether the stream has a step yet. */
int tl_online_begun(void);

/* Take in the scores of the next step. */
void tl_online_push(const chain_score scores[CHAIN_ROOMS]);

/* The room of CHAIN_LAG steps ago, or TL_NO_ROOM where the stream is not that long yet. */
int32_t tl_online_room(void);

#if CHAIN_LAG
/* End the stream: the rooms of its last steps, which were not given out, oldest first; TL_NO_ROOM fills the rest. */
void tl_online_finish(int32_t rooms[CHAIN_LAG]);
#endif

#endif
