/* From the model's scores to a room. */
#ifndef TL_DECODE_H
#define TL_DECODE_H

#include "tl_chain.h"

/* scores: [CHAIN_LENGTH][CHAIN_ROOMS], as the model left them. The room at the last step. */
int32_t tl_decode(const chain_score *scores);

#endif
