/*
 * The range coder, byte by byte, and its adaptive decisions: entropy/rangecoder.py.
 *
 * Every function runs both ways: `encode` is a constant, so that each call is compiled for one way.
 */
#ifndef FC_CODER_H
#define FC_CODER_H

#include "bits.h"
#include "frugalfl_core.h"

enum {
    FC_LOW = 1 << 24,
    FC_INCREMENT = 5,
    FC_FULL_COUNT = 1 << 13,
    FC_DECISIONS = 33, /* of an adaptive integer */
};

struct fc_coder {
    uint32_t code; /* decoding: the code less the interval's lower end; encoding: that end */
    uint32_t range;
    const uint8_t *in;
    uint8_t *out;
    size_t at, size;
    int status; /* the first error */
};

typedef uint16_t fc_counts[2];

FC_INLINE void fc_fail(struct fc_coder *c, int status)
{
    c->status = c->status ? c->status : status;
}

/* A decoder of what follows the flag byte. */
FC_INLINE struct fc_coder fc_reading(const uint8_t *data, size_t size)
{
    struct fc_coder c = {0, UINT32_MAX, data, NULL, 5, size, FC_OK};
    for (size_t i = 1; i < 5; i++)
        c.code = c.code << 8 | (i < size ? data[i] : 0u);
    return c;
}

FC_INLINE struct fc_coder fc_writing(uint8_t *out, size_t size)
{
    const struct fc_coder c = {0, UINT32_MAX, NULL, out, 1, size, FC_OK};
    return c;
}

/* Add 1 to the number that the bytes written so far are; the flag byte is never reached. */
static void fc_carry(struct fc_coder *c)
{
    size_t at = c->at < c->size ? c->at : c->size;
    while (at > 1 && ++c->out[at - 1] == 0)
        at--;
}

FC_INLINE void fc_raise(struct fc_coder *c, uint32_t by)
{
    c->code += by;
    if (c->code < by)
        fc_carry(c);
}

/* Move whole bytes in or out until the range is large again. */
FC_INLINE void fc_settle(struct fc_coder *c, const int encode)
{
    while (c->range < FC_LOW) {
        if (encode) {
            if (c->at < c->size)
                c->out[c->at] = (uint8_t)(c->code >> 24);
            else
                fc_fail(c, FC_FULL);
            c->code <<= 8;
        } else {
            /* Four zeros may be read behind the end. */
            if (c->at >= c->size) {
                if (c->at - c->size >= 4)
                    fc_fail(c, FC_ENDED);
                c->code <<= 8;
            } else {
                c->code = c->code << 8 | c->in[c->at];
            }
        }
        c->at++;
        c->range <<= 8;
    }
}

/* A choice of two: 0 has the first `split` of `whole` in the range. */
FC_INLINE uint32_t fc_choose(
    struct fc_coder *c, uint32_t split, uint32_t whole, uint32_t value, const int encode)
{
    if (!encode)
        value = c->code >= split;
    if (value) {
        if (encode)
            fc_raise(c, split);
        else
            c->code -= split;
        c->range = whole - split;
        if (!encode && c->code >= c->range)
            fc_fail(c, FC_CORRUPT);
    } else {
        c->range = split;
    }
    fc_settle(c, encode);
    return value;
}

/* An adaptive decision; learns. */
FC_INLINE uint32_t fc_bit(struct fc_coder *c, fc_counts counts, uint32_t value, const int encode)
{
    const uint32_t total = (uint32_t)counts[0] + counts[1], unit = c->range / total;
    value = fc_choose(c, unit * counts[0], unit * total, value, encode);
    counts[value] = (uint16_t)(counts[value] + FC_INCREMENT);
    if (total + FC_INCREMENT > FC_FULL_COUNT) {
        counts[0] = (uint16_t)((counts[0] + 1) >> 1);
        counts[1] = (uint16_t)((counts[1] + 1) >> 1);
    }
    return value;
}

/* A decision that is 1 with the chance ones / 65536. */
FC_INLINE uint32_t fc_chance(struct fc_coder *c, uint32_t ones, uint32_t value, const int encode)
{
    const uint32_t unit = c->range >> 16;
    return !fc_choose(c, unit * ones, unit << 16, !value, encode);
}

/* An integer >= 0: its length in adaptive decisions, then its other bits. */
FC_INLINE uint64_t fc_integer(
    struct fc_coder *c, fc_counts *counts, uint64_t value, const int encode)
{
    const uint32_t length = encode ? fc_bits_of(value + 1) - 1 : 0;
    uint32_t coded = 0;
    while (fc_bit(c, counts[coded], coded < length, encode)) {
        if (++coded == FC_DECISIONS) {
            fc_fail(c, FC_LARGE);
            return 0;
        }
        if (c->status)
            return 0;
    }
    uint64_t result = 1;
    for (uint32_t shift = coded; shift-- > 0;) {
        const uint32_t half = c->range >> 1;
        const uint32_t one = encode ? (uint32_t)((value + 1) >> shift & 1) : 0;
        result = result << 1 | fc_choose(c, half, 2 * half, one, encode);
    }
    return result - 1;
}

static void fc_start_counts(fc_counts *counts, uint32_t decisions)
{
    for (uint32_t i = 0; i < decisions; i++)
        counts[i][0] = counts[i][1] = 2;
}

/* End with the fewest bytes that decode alike whatever follows. */
static void fc_finish(struct fc_coder *c)
{
    uint32_t count = 0;
    uint64_t value = 0;
    for (; count <= 4; count++) {
        const uint64_t step = (uint64_t)1 << (32 - 8 * count);
        value = (c->code + step - 1) / step * step;
        if (value + step <= (uint64_t)c->code + c->range || count == 4)
            break;
    }
    if (value >> 32)
        fc_carry(c);
    for (uint32_t i = 0; i < count; i++, c->at++) {
        if (c->at >= c->size) {
            fc_fail(c, FC_FULL);
            return;
        }
        c->out[c->at] = (uint8_t)(value >> (24 - 8 * i));
    }
}

#endif
