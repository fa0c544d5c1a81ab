/* From the scores of a window to a room: tl_decode.c where the likeliest path or the best score decides, tl_marginal.c
 * where the likeliest room does. */
#ifndef TL_DECODE_H
#define TL_DECODE_H

#include "tl_chain.h"

/* scores: [CHAIN_LENGTH][CHAIN_ROOMS], as the model left them. The room at the last step. */
int32_t tl_decode(const chain_score *scores);

#endif
