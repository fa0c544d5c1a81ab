#include "tl_features.h"

#include <string.h>

static struct {
    int32_t sum[CHAIN_N_AP]; /* dBm */
    uint32_t heard[CHAIN_N_AP];
} radio;

#if CHAIN_SAMPLES
/* Mean and standard deviation of the samples of the step, every packet once. Deviations are from the first sample, so
 * that their squares do not cancel. In double precision and in the order of the packets: the Python stream's sums. */
static struct {
    double first[3], sum[3], squares[3];
    uint64_t seen;  /* bit i: the packet i numbers before the newest was here */
    int64_t newest; /* packet number */
    uint32_t count; /* samples */
} motion;

static float acceleration[6]; /* of the last step with a packet */

static int is_new(uint32_t seqno)
{
    const int64_t ahead = (int64_t)seqno - motion.newest;

    if (ahead > 0) {
        /* a shift by as many bits as the word has, or more, is undefined */
        const uint64_t kept = ahead < 64 ? motion.seen << ahead : 0;
        motion.newest = seqno;
        motion.seen = kept | 1u;
        return 1;
    }
    if (ahead <= -64)
        return 0;
    const uint64_t bit = (uint64_t)1 << -ahead;
    const int found = (motion.seen & bit) == 0;
    motion.seen |= bit;
    return found;
}

static void add_motion(const struct tl_packet *packet)
{
    if (!is_new(packet->seqno))
        return;
    for (int i = 0; i < CHAIN_SAMPLES; i++) {
        if (motion.count++ == 0)
            memcpy(motion.first, packet->samples[i], sizeof motion.first);
        for (int axis = 0; axis < 3; axis++) {
            const double apart = packet->samples[i][axis] - motion.first[axis];
            motion.sum[axis] += apart;
            motion.squares[axis] += apart * apart;
        }
    }
}

static void close_motion(void)
{
    if (motion.count == 0)
        return; /* no packet: the acceleration stays what it was */
    for (int axis = 0; axis < 3; axis++) {
        const double mean = motion.sum[axis] / motion.count;
        const double variance = motion.squares[axis] / motion.count - mean * mean;
        acceleration[axis] = (float)(motion.first[axis] + mean);
        acceleration[3 + axis] = (float)tl_root(variance > 0.0 ? variance : 0.0);
    }
}

/* floor(sqrt(m)), digit by digit, and what is left of m. m: 2^52 to 2^54 - 1, so that the root has 27 bits. */
static uint32_t whole_root(uint64_t m, uint32_t *left)
{
    uint32_t root = 0, rest = 0;

    for (int shift = 52; shift >= 0; shift -= 2) {
        rest = rest << 2 | ((uint32_t)(m >> shift) & 3u);
        root <<= 1;
        if (rest > root << 1) {
            rest -= (root << 1) + 1;
            root++;
        }
    }
    *left = rest;
    return root;
}

/* On the integer m of v = m 2^e, e even: the C library's sqrt would bring errno into the image, and with it newlib's
 * kilobyte of RAM. A root of 54 bits has one more than a double, which tells how to round; it is never a tie. Its lower
 * half is a quotient: P. Zimmermann, "Karatsuba Square Root" (INRIA report 3805, 1999). */
double tl_root(double v)
{
    uint64_t bits, m;
    uint32_t upper, left;
    int32_t exponent;

    if (v < 1e-200)
        return 0.0;
    memcpy(&bits, &v, sizeof bits);
    exponent = (int32_t)(bits >> 52) - 1023;
    m = (bits & 0xFFFFFFFFFFFFFu) | (uint64_t)1 << 52;
    if (exponent & 1) {
        m <<= 1;
        exponent--;
    }
    upper = whole_root(m, &left);
    uint64_t lower = ((uint64_t)left << 26) / upper;
    /* what is left of m 2^54 is (left 2^26 - upper lower) 2^28 - lower^2: where that is negative, lower is one too many */
    if ((((uint64_t)left << 26) - upper * lower) << 28 < lower * lower)
        lower--;
    const uint64_t root = ((uint64_t)upper << 27) + lower;
    /* the leading bit of the rounded root adds one to the exponent, and a carry another */
    bits = ((uint64_t)(exponent / 2 + 1022) << 52) + ((root + 1) >> 1);
    memcpy(&v, &bits, sizeof v);
    return v;
}
#endif

void tl_features_open(void)
{
    memset(&radio, 0, sizeof radio);
#if CHAIN_SAMPLES
    memset(&motion, 0, sizeof motion);
    motion.newest = -1;
#endif
}

void tl_features_add(const struct tl_packet *packet)
{
    radio.sum[packet->gateway] += packet->rssi;
    radio.heard[packet->gateway]++;
#if CHAIN_SAMPLES
    add_motion(packet);
#endif
}

void tl_features_close(float measured[CHAIN_FEATURES])
{
    /* Sum and count are whole numbers below 2^24, which floats hold exactly; and the nearest float of the nearest double
     * of such a quotient is the nearest float of the quotient (Figueroa, "When is double rounding innocuous?", 1995). */
    for (int i = 0; i < CHAIN_N_AP; i++)
        measured[i] = radio.heard[i] ? (float)radio.sum[i] / (float)radio.heard[i] : CHAIN_SILENT;
#if CHAIN_SAMPLES
    close_motion();
    memcpy(measured + CHAIN_N_AP, acceleration, sizeof acceleration);
#endif
}
