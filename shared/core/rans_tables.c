/* The tables of the small integers' coder: made of a byte, by integers alone. */
#include "rans.h"

static uint32_t rans_narrow(uint32_t place)
{
    const uint32_t narrow = (8 + place % 8) << 12 >> place / 8;
    return narrow ? narrow : 1;
}

/* a * b >> 16, for b of at most 16 bits: without a product of 64. */
static uint32_t rans_times(uint32_t a, uint32_t b)
{
    return (a >> 16) * b + ((a & 0xFFFF) * b >> 16);
}

/* Sum up the weights of a byte's cells. */
static void rans_weigh(uint32_t *below, uint32_t number)
{
    uint32_t ratio = 65536 - rans_narrow(number >> 1), weight = 1u << 24;
    const uint32_t falling = rans_times(ratio, ratio);
    below[0] = 0;
    for (uint32_t j = 0; j <= RANS_MOST; j++) {
        below[j + 1] = below[j] + weight;
        weight = rans_times(weight, ratio);
        if (number & 1)
            ratio = rans_times(ratio, falling);
    }
}

/* The weights of all cells before one together, less those before cell 0, modulo 2**32. */
static uint32_t rans_before(const uint32_t *below, int32_t cell)
{
    if (cell >= 0)
        return below[cell > RANS_MOST ? RANS_MOST + 1 : cell];
    return below[1] - below[cell < -RANS_MOST ? RANS_MOST + 1 : 1 - cell];
}

static uint32_t rans_weight(const uint32_t *below, int32_t symbol, int32_t cells, int32_t dither)
{
    const int32_t first = cells * symbol - dither;
    return rans_before(below, first + cells) - rans_before(below, first);
}

/* weight * left / total, which is below 2**14. */
static uint32_t rans_share(uint32_t weight, uint32_t left, uint64_t total)
{
    uint64_t rest = (uint64_t)weight * left, part = total << (RANS_BITS - 1);
    uint32_t share = 0;
    for (uint32_t bit = 0; bit < RANS_BITS; bit++, part >>= 1) {
        share <<= 1;
        if (rest >= part) {
            rest -= part;
            share |= 1;
        }
    }
    return share;
}

/* Write the frequency of each place, 2**14 in all: of symbols within reach, and of what is beyond. */
static void rans_share_out(
    const uint32_t *below, int32_t reach, int32_t cells, int32_t dither, uint16_t *frequency)
{
    const uint32_t places = 2 * (uint32_t)reach + 2;
    /* What is before cell 0 counts as less than nothing. */
    const uint64_t total = (uint64_t)rans_before(below, cells * (reach + 1) - dither)
                           + (0u - rans_before(below, -cells * reach - dither));
    uint32_t most = 0, left = RANS_WHOLE - 1;
    for (uint32_t place = 0; place < places - 1; place++) {
        const uint32_t weight = rans_weight(below, (int32_t)place - reach, cells, dither);
        const uint32_t own = 1 + rans_share(weight, RANS_WHOLE - places, total);
        frequency[place] = (uint16_t)own;
        left -= own;
        if (own > frequency[most])
            most = place;
    }
    frequency[most] = (uint16_t)(frequency[most] + left);
    frequency[places - 1] = 1;
    frequency[places] = 0;
}

/* Make the table of symbols of so many cells, which reaches no further than this. */
static void rans_make(
    const uint32_t *below, int32_t reach, int32_t cells, int32_t dither, uint16_t *table)
{
    const uint64_t total = 2 * (uint64_t)below[RANS_MOST + 1] - below[1];
    const uint32_t least = (uint32_t)((total + 0xFFFF) >> 16);
    while (rans_weight(below, reach, cells, dither) < least &&
           rans_weight(below, -reach, cells, dither) < least)
        reach--;
    uint16_t *start = table + 1;
    rans_share_out(below, reach, cells, dither, start);
    table[0] = (uint16_t)(2 * reach + 2);
    uint32_t sum = 0;
    for (uint32_t place = 0; place <= table[0]; place++) {
        const uint32_t frequency = start[place];
        start[place] = (uint16_t)sum;
        sum += frequency;
    }
}

static const uint16_t *rans_tables(const struct rans_vector *v, uint32_t number)
{
    struct rans_kept *kept = rans_kept(v);
    uint16_t *tables = kept ? kept->tables[v->dithered != 0][number] : v->work->tables;
    int32_t dither = 0;
    if (kept && tables[0])
        return tables;
    rans_weigh(v->work->below, number);
    for (uint32_t row = 0; row <= v->last; row += RANS_STRIDE)
        rans_make(v->work->below, (int32_t)v->limit, (int32_t)v->cells, dither++, tables + row);
    return tables;
}
