/* The whole chain of a wearable: packets in, one room a step out.
 *
 * The same numbers as tinyloc.data.stream (steps), tinyloc.data.windows.Scaler, the compiled model beside it and
 * tinyloc.models.crf (viterbi_numpy over a window; where CHAIN_ONLINE is 1, OnlineViterbi over the segment), bit for
 * bit; where marginals decide (last_marginal_numpy, OnlineMarginal) up to rounding, with the same bits on every board.
 * No heap, no recursion; all memory is static: one open step, the last CHAIN_LENGTH scaled steps in the model's own
 * type, the model's arena and state, and what the decoder keeps of the last CHAIN_LAG steps.
 */
#ifndef TL_CHAIN_H
#define TL_CHAIN_H

#include <stdint.h>

#include "chain_config.h"

/* One packet as one gateway heard it. Packets come in order of time. */
struct tl_packet {
    int64_t time; /* us */
#if CHAIN_SAMPLES
    double samples[CHAIN_SAMPLES][3]; /* x, y, z in g: double, as the Python stream sums them */
#endif
    int32_t rssi; /* dBm */
    uint32_t seqno;
    uint32_t gateway; /* index, below CHAIN_N_AP */
};

/* The segment is still shorter than a window and CHAIN_LAG steps, or it is not yet time for the next window. */
#define TL_NO_ROOM (-1)

/* A step that is over. */
struct tl_step {
    int32_t room;    /* index of the label of the step CHAIN_LAG steps ago, or TL_NO_ROOM */
    int32_t segment; /* number of the stretch without a gap, from 0 */
    int32_t number;  /* of the step, from 0; it does not start again with a segment */
    float measured[CHAIN_FEATURES]; /* dBm of every gateway; mean x, y, z and standard deviation x, y, z in g */
    float scaled[CHAIN_FEATURES];
#if CHAIN_LAG
    /* At the end of a segment: the rooms of the steps after that one, up to the last window's end, oldest first. */
    int32_t rest[CHAIN_LAG]; /* TL_NO_ROOM where there are none */
#endif
};

/* Begin a new recording. Call it first. */
void tl_chain_init(void);

/* Offer a packet. 1: it shows that a step is over, which is now in *step; offer the same packet again. 0: it is taken,
 * and *step is as it was. One call does at most one inference, however long the pause before the packet. */
int tl_chain_push(const struct tl_packet *packet, struct tl_step *step);

/* At the end of a recording: 1 and the open step in *step, or 0 where none is open. */
int tl_chain_close(struct tl_step *step);

#endif
