/* The open step: what its packets add up to, in constant memory. */
#ifndef TL_FEATURES_H
#define TL_FEATURES_H

#include "tl_chain.h"

/* Forget what was heard. The acceleration of the last step with a packet stays. */
void tl_features_open(void);

void tl_features_add(const struct tl_packet *packet);

/* The features of the step that was open. */
void tl_features_close(float measured[CHAIN_FEATURES]);

/* The square root of v >= 0, correctly rounded; 0 where it would round to 0 as a float. */
double tl_root(double v);

#endif
