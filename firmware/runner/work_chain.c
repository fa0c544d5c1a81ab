/* An offer of a packet a record, or the end of a recording; device/chain.py is the other side. What is counted is the
 * call into the chain and the few instructions here that make it. */
#include "tl_chain.h"
#include "work.h"

static struct {
    uint32_t end; /* 1: no packet, close the step that is open */
    struct tl_packet packet;
} offer;

static struct {
    uint32_t over; /* 1: `step` is over, and a packet was not taken yet */
    struct tl_step step;
} answer;

/* The Python side has to agree about the layout: an array of negative length does not compile. */
typedef char offer_is_as_emitted[sizeof offer == CHAIN_OFFER_BYTES ? 1 : -1];
typedef char answer_is_as_emitted[sizeof answer == CHAIN_ANSWER_BYTES ? 1 : -1];

static void run(void)
{
    answer.over = (uint32_t)(offer.end ? tl_chain_close(&answer.step) : tl_chain_push(&offer.packet, &answer.step));
}

static void *input(unsigned i)
{
    (void)i;
    return &offer;
}

static const void *output(unsigned i)
{
    (void)i;
    return &answer;
}

static const uint32_t offer_bytes = sizeof offer, answer_bytes = sizeof answer;

const struct work runner_work = {
    .init = tl_chain_init,
    .run = run,
    .input = input,
    .output = output,
    .input_bytes = &offer_bytes,
    .output_bytes = &answer_bytes,
    .n_inputs = 1,
    .n_outputs = 1,
    .all_input_bytes = sizeof offer,
    .all_output_bytes = sizeof answer,
};
