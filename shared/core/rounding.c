/*
 * Floats to integers and back; the reference is codec/entropy/rounding.py, and this takes the same
 * steps in the same precision, so that the same values lie on the same side of every bound.
 */
#include "floats.h"
#include "frugalfl_core.h"
#include "wide.h"

#define TWO_32 4294967296.0
/* Above what rounding to float32 can take from a product. */
#define MARGIN (1 + 1.0 / (1 << 20))
#define MOST_STEPS 2147483647.0

enum { AT_A_TIME = 256 };

FC_INLINE void mix_body(uint32_t seed, uint32_t first, size_t count, uint32_t *words)
{
    const uint32_t mixed = fc_finalise(seed);
    for (size_t i = 0; i < count; i++)
        words[i] = fc_word(first + (uint32_t)i, mixed);
}
COMPILED_TWICE(
    mix, (uint32_t seed, uint32_t first, size_t count, uint32_t *words), (seed, first, count, words))

FC_API void fc_mix(uint32_t seed, uint32_t first, size_t count, uint32_t *words)
{
    mix(seed, first, count, words);
}

FC_INLINE void largest_body(const float *values, size_t count, uint32_t *largest)
{
    int32_t most = 0; /* signed, because vectors compare those */
    for (size_t i = 0; i < count; i++) {
        const int32_t bits = (int32_t)magnitude_bits(values[i]);
        most = bits > most ? bits : most;
    }
    *largest = (uint32_t)most;
}
COMPILED_TWICE(
    largest, (const float *values, size_t count, uint32_t *largest), (values, count, largest))

FC_API uint32_t fc_largest(const float *values, size_t count)
{
    uint32_t bits;
    largest(values, count, &bits);
    return bits;
}

/* The multiple that |value| is rounded to: down, or up if its fraction is above the threshold. */
static int32_t against(float value, double step, uint32_t word)
{
    const double scaled = (double)magnitude(value) / step;
    int32_t whole = (int32_t)scaled;
    whole += (scaled - whole) * TWO_32 > word + 0.5;
    return value < 0 ? -whole : whole;
}

/* Whether values may become nonzero: products of floats can tell for nearly all. */
FC_INLINE void may_survive_body(
    const float *values, uint32_t count, float scale, uint32_t mixed, uint32_t first, uint8_t *may)
{
    for (uint32_t i = 0; i < count; i++)
        may[i] = magnitude(values[i]) * scale >= (float)fc_word(first + i, mixed);
}
COMPILED_TWICE(
    may_survive,
    (const float *values, uint32_t count, float scale, uint32_t mixed, uint32_t first, uint8_t *may),
    (values, count, scale, mixed, first, may))

/* The numbers of the marks that are set, in order; how many there are. */
static uint32_t numbers_of(const uint8_t *marks, uint32_t count, uint8_t *numbers)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        numbers[found] = (uint8_t)i;
        found += marks[i];
    }
    return found;
}

FC_API int fc_round_shared(
    const float *values, size_t count, double step, uint32_t seed, uint32_t first, int32_t *symbols)
{
    const uint32_t mixed = fc_finalise(seed);
    const float scale = (float)(TWO_32 * MARGIN / step);
    if (!((double)of_bits(fc_largest(values, count)) / step < MOST_STEPS))
        return FC_VALUE;
    for (size_t at = 0; at < count; at += AT_A_TIME) {
        const uint32_t some = count - at < AT_A_TIME ? (uint32_t)(count - at) : AT_A_TIME;
        const uint32_t number = first + (uint32_t)at;
        uint8_t may[AT_A_TIME], found[AT_A_TIME + 1];
        may_survive(values + at, some, scale, mixed, number, may);
        const uint32_t hits = numbers_of(may, some, found);
        for (uint32_t i = 0; i < some; i++)
            symbols[at + i] = 0;
        for (uint32_t n = 0; n < hits; n++) {
            const uint32_t i = found[n];
            symbols[at + i] = against(values[at + i], step, fc_word(number + i, mixed));
        }
    }
    return FC_OK;
}

FC_INLINE void nearest_body(
    const float *values, size_t count, float per_step, float raise, int32_t *symbols, int *bad)
{
    int32_t beyond = 0;
    for (size_t i = 0; i < count; i++) {
        const float scaled = magnitude(values[i]) * per_step;
        const int32_t fits = scaled < 2147483648.0F;
        const int32_t whole = (int32_t)((fits ? scaled : 0) + raise);
        beyond |= !fits;
        symbols[i] = values[i] < 0 ? -whole : whole;
    }
    *bad = beyond;
}
COMPILED_TWICE(
    nearest,
    (const float *values, size_t count, float per_step, float raise, int32_t *symbols, int *bad),
    (values, count, per_step, raise, symbols, bad))

FC_API int fc_round_nearest(
    const float *values, size_t count, float per_step, float raise, int32_t *symbols)
{
    int bad = 0;
    nearest(values, count, per_step, raise, symbols, &bad);
    return bad ? FC_VALUE : FC_OK;
}

FC_INLINE void multiples_body(
    const float *values, size_t count, double per_step, int32_t *symbols, int *bad)
{
    int32_t beyond = 0;
    for (size_t i = 0; i < count; i++) {
        const double scaled = values[i] * per_step;
        const int fits = scaled > -2147483648.0 && scaled < 2147483648.0;
        const int32_t whole = (int32_t)(fits ? scaled : 0.5);
        beyond |= whole != (fits ? scaled : 0.5);
        symbols[i] = whole;
    }
    *bad = beyond;
}
COMPILED_TWICE(
    multiples,
    (const float *values, size_t count, double per_step, int32_t *symbols, int *bad),
    (values, count, per_step, symbols, bad))

FC_API int fc_whole_multiples(
    const float *values, size_t count, double per_step, int32_t *symbols)
{
    int bad = 0;
    multiples(values, count, per_step, symbols, &bad);
    return bad ? FC_VALUE : FC_OK;
}

FC_API void fc_excess(
    const float *values, const int32_t *symbols, size_t count, double step, double *sums,
    uint64_t *counts)
{
    double one = sums[0], two = sums[1], more = sums[2];
    for (size_t at = 0; at < count; at += AT_A_TIME) {
        const uint32_t some = count - at < AT_A_TIME ? (uint32_t)(count - at) : AT_A_TIME;
        uint8_t marks[AT_A_TIME], found[AT_A_TIME + 1];
        for (uint32_t i = 0; i < some; i++)
            marks[i] = symbols[at + i] != 0;
        const uint32_t hits = numbers_of(marks, some, found);
        for (uint32_t n = 0; n < hits; n++) {
            const int32_t symbol = symbols[at + found[n]];
            const uint32_t size = symbol < 0 ? 0U - (uint32_t)symbol : (uint32_t)symbol;
            const double excess = (double)magnitude(values[at + found[n]]) / step - size;
            /* Adding 0.0 changes no bit of a sum, and a branch here would be guessed wrongly. */
            one += size == 1 ? excess : 0.0;
            two += size == 2 ? excess : 0.0;
            more += size > 2 ? excess : 0.0;
            counts[size > 2 ? 2 : size - 1]++;
        }
    }
    sums[0] = one, sums[1] = two, sums[2] = more;
}

FC_INLINE void restore_body(
    const int32_t *symbols, size_t count, double step, const double *offsets, float *values)
{
    const double by[7] = {-offsets[3], -offsets[2], -offsets[1], 0.0, offsets[1], offsets[2], offsets[3]};
    for (size_t i = 0; i < count; i++) {
        /* Adding a symbol's sign times its offset: each sign has offsets of its own. */
        const int32_t symbol = symbols[i], at = fc_clamp(symbol, -3, 3);
        values[i] = (float)((symbol + by[at + 3]) * step);
    }
}
COMPILED_TWICE(
    restore,
    (const int32_t *symbols, size_t count, double step, const double *offsets, float *values),
    (symbols, count, step, offsets, values))

FC_API void fc_restore(
    const int32_t *symbols, size_t count, double step, const double *offsets, float *values)
{
    restore(symbols, count, step, offsets, values);
}
