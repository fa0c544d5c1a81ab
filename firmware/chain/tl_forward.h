/* The forward recursion of a linear chain: how likely every room is now, given all scores up to now.
 *
 * tinyloc.models.crf.last_marginal_numpy in numbers that are no logarithms: energies are exponentials already in
 * chain_odds_*, and after every step the largest number is 1 again (L. Rabiner, "A tutorial on hidden Markov models",
 * 1989, section V-A). So a step costs CHAIN_ROOMS exponentials and not their square. What becomes 0 is below e^-87 of
 * the likeliest; emit_chain sees to it that no energy could bring it back.
 */
#ifndef TL_FORWARD_H
#define TL_FORWARD_H

#include "tl_chain.h"

/* exp(score) of every room, of which the largest is 1. */
void tl_forward_seen(const chain_score scores[CHAIN_ROOMS], float seen[CHAIN_ROOMS]);

/* The first step of a chain, with its scores. */
void tl_forward_begin(const chain_score scores[CHAIN_ROOMS], float forward[CHAIN_ROOMS]);

/* One step further, to one of which `seen` is known; `from` and `to` are not the same. */
void tl_forward_step(const float from[CHAIN_ROOMS], const float seen[CHAIN_ROOMS], float to[CHAIN_ROOMS]);

/* Divide by the largest, which is not 0. */
void tl_forward_scale(float numbers[CHAIN_ROOMS]);

/* The room of the largest one times[room] * numbers[room]; of equals the first. */
int32_t tl_forward_likeliest(const float numbers[CHAIN_ROOMS], const float times[CHAIN_ROOMS]);

#endif
