/*
 * Sparse signs as Golomb-Rice coded gaps; the reference is codec/golomb.py, which has the layout:
 * all quotients in unary (ones and a zero as a stop), all remainders, all signs; high bits first.
 */
#include "floats.h"
#include "frugalfl_core.h"
#include "wide.h"

enum { MOST_RICE = 40 };

/* Up to 64 bits from `bit` on, the first one highest; zeros behind the end. */
FC_INLINE uint64_t bits_at(const uint8_t *data, size_t size, uint64_t bit)
{
    const size_t at = (size_t)(bit >> 3);
    uint64_t word = 0;
    if (at + 8 <= size) {
        const uint8_t *p = data + at;
        word = (uint64_t)p[0] << 56 | (uint64_t)p[1] << 48 | (uint64_t)p[2] << 40
            | (uint64_t)p[3] << 32 | (uint64_t)p[4] << 24 | (uint64_t)p[5] << 16
            | (uint64_t)p[6] << 8 | p[7];
    } else {
        for (size_t i = at; i < size; i++)
            word |= (uint64_t)data[i] << (56 - 8 * (i - at));
    }
    return word << (bit & 7);
}

/* The stops among the 64 bits that begin at byte `at`, the first one lowest; not beyond `bits`. */
FC_INLINE uint64_t stops_at(const uint8_t *data, size_t size, size_t at, uint64_t bits)
{
    uint64_t word = ~bits_at(data, size, 8 * (uint64_t)at);
    const uint64_t left = bits - 8 * (uint64_t)at;
    if (left < 64)
        word &= ~(UINT64_MAX >> left);
    word = (word >> 1 & 0x5555555555555555U) | (word & 0x5555555555555555U) << 1;
    word = (word >> 2 & 0x3333333333333333U) | (word & 0x3333333333333333U) << 2;
    word = (word >> 4 & 0x0F0F0F0F0F0F0F0FU) | (word & 0x0F0F0F0F0F0F0F0FU) << 4;
    word = (word >> 8 & 0x00FF00FF00FF00FFU) | (word & 0x00FF00FF00FF00FFU) << 8;
    word = (word >> 16 & 0x0000FFFF0000FFFFU) | (word & 0x0000FFFF0000FFFFU) << 16;
    return word >> 32 | word << 32;
}

FC_INLINE uint32_t ones_in(uint64_t word)
{
    word -= word >> 1 & 0x5555555555555555U;
    word = (word & 0x3333333333333333U) + (word >> 2 & 0x3333333333333333U);
    word = (word + (word >> 4)) & 0x0F0F0F0F0F0F0F0FU;
    return (uint32_t)(word * 0x0101010101010101U >> 56);
}

FC_INLINE uint32_t lowest_one(uint64_t word)
{
#if defined(__GNUC__)
    return (uint32_t)__builtin_ctzll(word);
#else
    return ones_in((word & (0 - word)) - 1);
#endif
}

/* Behind which bit the stop number `count` lies, of those in the first `bits`; 0: it is not there. */
static uint64_t end_of_unary(const uint8_t *data, size_t size, uint64_t bits, uint64_t count)
{
    for (size_t at = 0; 8 * (uint64_t)at < bits; at += 8) {
        uint64_t stops = stops_at(data, size, at, bits);
        const uint32_t some = ones_in(stops);
        if (some >= count) {
            while (--count)
                stops &= stops - 1;
            return 8 * (uint64_t)at + lowest_one(stops) + 1;
        }
        count -= some;
    }
    return 0;
}

/* Read the gaps whose quotients end at bit `unary` and whose remainders begin there. */
FC_INLINE void read_places_body(
    const uint8_t *data, size_t size, uint64_t unary, uint32_t rice, uint64_t below,
    int64_t *places, uint64_t *last)
{
    /* Places count from 1 in here, so that the one before the first is 0. */
    uint64_t place = 0, remainder = unary, before = 0;
    size_t n = 0;
    /* 64 gaps more cannot overflow a place that is below 2**40 so far. */
    for (size_t at = 0; 8 * (uint64_t)at < unary && place <= below; at += 8) {
        for (uint64_t stops = stops_at(data, size, at, unary); stops; stops &= stops - 1) {
            const uint64_t stop = 8 * (uint64_t)at + lowest_one(stops) + 1;
            /* In two shifts, because one by 64 is none. */
            const uint64_t low = bits_at(data, size, remainder) >> 1 >> (63 - rice);
            if (stop - before - 1 > below >> rice) { /* far beyond, or beyond 64 bits */
                *last = below + 1;
                return;
            }
            place += ((stop - before - 1) << rice) + low + 1;
            places[n++] = (int64_t)place - 1;
            before = stop;
            remainder += rice;
        }
    }
    *last = place;
}
COMPILED_TWICE(
    read_places,
    (const uint8_t *data, size_t size, uint64_t unary, uint32_t rice, uint64_t below,
     int64_t *places, uint64_t *last),
    (data, size, unary, rice, below, places, last))

/* Make 1 of a bit that is 0, and -1 of one that is 1. */
FC_INLINE void read_signs_body(
    const uint8_t *data, size_t size, uint64_t bit, size_t count, float *symbols)
{
    for (; count; bit += 32) {
        const uint32_t some = count < 32 ? (uint32_t)count : 32;
        const uint32_t bits = (uint32_t)(bits_at(data, size, bit) >> 32);
        for (uint32_t i = 0; i < some; i++)
            symbols[i] = of_bits(0x3F800000U | (bits << i & 0x80000000U));
        symbols += some;
        count -= some;
    }
}
COMPILED_TWICE(
    read_signs, (const uint8_t *data, size_t size, uint64_t bit, size_t count, float *symbols),
    (data, size, bit, count, symbols))

FC_API int fc_golomb_decode(
    const uint8_t *data, size_t size, size_t count, uint32_t rice, uint64_t below, int64_t *places,
    float *symbols)
{
    const uint64_t bits = 8 * (uint64_t)size, rest = count * ((uint64_t)rice + 1);
    if (rice > MOST_RICE || below >> MOST_RICE || (uint64_t)size >> 48 ||
        (uint64_t)count >> 48)
        return FC_ROOM;
    if (count == 0)
        return size ? FC_LEFT : FC_OK;
    /* What follows the quotients has a known length: only what comes before it is searched. */
    const uint64_t unary = rest < bits ? end_of_unary(data, size, bits - rest, count) : 0;
    if (unary == 0)
        return FC_ENDED;
    if (bits - rest - unary >= 8)
        return FC_LEFT;
    read_signs(data, size, unary + rest - count, count, symbols);
    uint64_t last;
    read_places(data, size, unary, rice, below, places, &last);
    return last > below ? FC_LARGE : FC_OK;
}

/* How many zeros follow, at least, after the first one: whole groups are seen at once. */
FC_INLINE size_t zeros_at(const int32_t *symbols, size_t count)
{
    enum { GROUP = 16 };
    size_t zeros = 1;
    while (zeros + GROUP <= count) {
        int32_t any = 0;
        for (int i = 0; i < GROUP; i++)
            any |= symbols[zeros + i];
        if (any)
            break;
        zeros += GROUP;
    }
    return zeros;
}

FC_API int fc_golomb_find(
    const int32_t *symbols, size_t count, int64_t first, int64_t *places, uint8_t *negative,
    size_t room, size_t *found)
{
    size_t hits = *found;
    for (size_t i = 0; i < count; i++) {
        if (symbols[i] == 0) {
            i += zeros_at(symbols + i, count - i) - 1;
            continue;
        }
        if (symbols[i] > 1 || symbols[i] < -1)
            return FC_VALUE;
        if (hits == room)
            return FC_FULL;
        places[hits] = first + (int64_t)i;
        negative[hits++] = symbols[i] < 0;
    }
    *found = hits;
    return FC_OK;
}

/* The length of all quotients in unary, without their stops. */
static uint64_t quotients(const int64_t *places, size_t count, uint32_t rice)
{
    uint64_t sum = 0;
    int64_t before = -1;
    for (size_t n = 0; n < count; n++) {
        sum += (uint64_t)(places[n] - before - 1) >> rice;
        before = places[n];
    }
    return sum;
}

FC_API int fc_rice(
    const int64_t *places, size_t count, uint32_t more, uint32_t *rice, uint64_t *unary)
{
    uint64_t largest = 1, best = UINT64_MAX;
    int64_t before = -1;
    for (size_t n = 0; n < count; n++) {
        if (places[n] <= before || (uint64_t)places[n] >> MOST_RICE)
            return FC_VALUE;
        const uint64_t gap = (uint64_t)(places[n] - before - 1);
        largest = gap > largest ? gap : largest;
        before = places[n];
    }
    for (uint32_t bits = 0; bits < more || largest >> (bits - more); bits++) {
        const uint64_t length = quotients(places, count, bits), all = length + (uint64_t)bits * count;
        if (all > best)
            break; /* each further bit shortens quotients by less than the one before */
        if (all < best) {
            best = all;
            *rice = bits;
            *unary = length;
        }
    }
    return FC_OK;
}

/* Put the lowest `length` bits of a number into bytes that are zero from `bit` on. */
FC_INLINE void put_bits(uint8_t *out, uint64_t bit, uint64_t number, uint32_t length)
{
    while (length) {
        const uint32_t room = 8 - (uint32_t)(bit & 7), some = length < room ? length : room;
        const uint64_t part = number >> (length - some) & ((1U << some) - 1);
        out[bit >> 3] |= (uint8_t)(part << (room - some));
        bit += some;
        length -= some;
    }
}

/* Put ones into the first `ones` bits, and zeros into what follows. */
static void fill_ones(uint8_t *out, size_t size, uint64_t ones)
{
    for (size_t at = 0; at < size; at++)
        out[at] = at < ones >> 3 ? 0xFF : 0;
    if (ones & 7)
        out[ones >> 3] = (uint8_t)(0xFF00U >> (ones & 7));
}

FC_API int fc_golomb_write(
    const int64_t *places, const uint8_t *negative, size_t count, uint32_t rice, uint64_t unary,
    uint8_t *out, size_t size)
{
    const uint64_t bits = unary + count * ((uint64_t)rice + 1 + (negative != NULL));
    if (rice > MOST_RICE || (bits + 7) >> 3 != size || unary != quotients(places, count, rice))
        return FC_FULL;
    fill_ones(out, size, unary + count);
    uint64_t stop = 0, remainder = unary + count, sign = bits - count;
    int64_t before = -1;
    for (size_t n = 0; n < count; n++) {
        const uint64_t gap = (uint64_t)(places[n] - before - 1);
        before = places[n];
        stop += gap >> rice;
        out[stop >> 3] &= (uint8_t)~(0x80U >> (stop & 7));
        stop++;
        put_bits(out, remainder, gap & (((uint64_t)1 << rice) - 1), rice);
        remainder += rice;
        if (negative != NULL)
            put_bits(out, sign++, negative[n] != 0, 1);
    }
    return FC_OK;
}
