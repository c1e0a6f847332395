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

/* Write the frequencies of symbols within reach; return the place of the first that has most. */
static uint32_t rans_frequencies(
    const uint32_t *below, int32_t cells, int32_t dither, int32_t reach, uint16_t *frequency)
{
    const uint32_t left = RANS_WHOLE - 2 * (uint32_t)reach - 2;
    uint64_t total = 0;
    uint32_t most = 0;
    for (int32_t k = -reach; k <= reach; k++)
        total += rans_weight(below, k, cells, dither);
    for (uint32_t place = 0; place <= 2 * (uint32_t)reach; place++) {
        const uint32_t weight = rans_weight(below, (int32_t)place - reach, cells, dither);
        frequency[place] = (uint16_t)(1 + rans_share(weight, left, total));
        if (frequency[place] > frequency[most])
            most = place;
    }
    frequency[2 * reach + 1] = 1;
    return most;
}

/* Make the table of summed weights for symbols of so many cells. */
static void rans_make(const uint32_t *below, int32_t cells, int32_t dither, uint16_t *table)
{
    const uint64_t total = 2 * (uint64_t)below[RANS_MOST + 1] - below[1];
    int32_t reach = cells == 1 ? RANS_MOST : RANS_REACH;
    while (((uint64_t)rans_weight(below, reach, cells, dither) << 16) < total &&
           ((uint64_t)rans_weight(below, -reach, cells, dither) << 16) < total)
        reach--;
    const uint32_t places = 2 * (uint32_t)reach + 2;
    uint16_t *start = table + 1;
    const uint32_t most = rans_frequencies(below, cells, dither, reach, start);
    uint32_t sum = 0;
    for (uint32_t place = 0; place < places; place++)
        sum += start[place];
    start[most] = (uint16_t)(start[most] + RANS_WHOLE - sum);
    sum = 0;
    for (uint32_t place = 0; place <= places; place++) {
        const uint32_t frequency = place < places ? start[place] : 0;
        start[place] = (uint16_t)sum;
        sum += frequency;
    }
    table[0] = (uint16_t)places;
}

static const uint16_t *rans_tables(const struct rans_vector *v, uint32_t number)
{
    const uint32_t dithered = v->dithered != 0;
    uint16_t *tables = v->kept ? v->kept->tables[dithered][number] : v->work->tables;
    if (v->kept && tables[0])
        return tables;
    rans_weigh(v->work->below, number);
    for (uint32_t dither = 0; dither < (dithered ? RANS_CELLS : 1); dither++)
        rans_make(v->work->below, dithered ? RANS_CELLS : 1, (int32_t)dither,
                  tables + RANS_STRIDE * dither);
    return tables;
}
