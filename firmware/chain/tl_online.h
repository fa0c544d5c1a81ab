/* Viterbi's search on a stream of scores, with a fixed lag: the room of CHAIN_LAG steps ago, given all that was seen
 * since. tinyloc.models.crf.OnlineViterbi to the bit, ties included.
 *
 * A step costs CHAIN_ROOMS^2 additions and CHAIN_LAG steps back. CHAIN_LAG rows of back pointers and CHAIN_ROOMS
 * floats are all the memory, however long the stream is.
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
