/*
 * Rounding with a dither that both ends draw, and taking it off; the reference is codec/dithered.py.
 *
 * The same steps in the same double precision, so that the same values round to the same symbols.
 */
#include "frugalfl_core.h"
#include "thresholds.h"

/* A sum with it has no bits behind the point left: it is rounded, halves to even, as rint does. */
#define ROUNDING 6755399441055744.0
#define MOST_SYMBOLS 2147483646.0

/* The dither of entry `number`, between -1/2 and 1/2. */
static inline double dither_of(uint32_t mixed_seed, uint32_t number)
{
    return (threshold_word(mixed_seed, number) + 0.5) * (1 / 4294967296.0) - 0.5;
}

FC_API int fc_dither(
    const float *values, size_t count, double step, uint32_t seed, uint32_t first, int32_t *symbols)
{
    const uint32_t mixed = mixed_word(seed ^ FC_DITHER);
    int outside = 0;
    for (size_t i = 0; i < count; i++) {
        const double scaled = values[i] / step;
        const int inside = scaled < MOST_SYMBOLS && scaled > -MOST_SYMBOLS; /* and is a number */
        const double dithered = (inside ? scaled : 0) + dither_of(mixed, first + (uint32_t)i);
        symbols[i] = (int32_t)((dithered + ROUNDING) - ROUNDING);
        outside |= !inside;
    }
    return outside ? FC_VALUE : FC_OK;
}

FC_API void fc_undither(
    const int32_t *symbols, size_t count, double step, uint32_t seed, uint32_t first, float *values)
{
    const uint32_t mixed = mixed_word(seed ^ FC_DITHER);
    for (size_t i = 0; i < count; i++)
        values[i] = (float)((symbols[i] - dither_of(mixed, first + (uint32_t)i)) * step);
}
