/* The largest values of an update, as topk and dyadic ask for them. */
#include "floats.h"
#include "frugalfl_core.h"
#include "wide.h"

enum { BINS = 2048 };

/* Where the bits of a magnitude lie that tell its bin in each of three turns. */
static const struct {
    uint32_t shift, width;
} TURNS[3] = {{20, 11}, {9, 11}, {0, 9}};

/* Count the values by the bits of a turn, if those above them are `prefix`. */
static void count_bins(
    const float *values, size_t count, uint32_t prefix, int turn, uint32_t *bins)
{
    for (uint32_t bin = 0; bin < BINS; bin++)
        bins[bin] = 0;
    const uint32_t shift = TURNS[turn].shift, width = TURNS[turn].width;
    for (size_t i = 0; i < count; i++) {
        const uint32_t bits = magnitude_bits(values[i]) >> shift;
        if (bits >> width == prefix)
            bins[bits & ((1U << width) - 1)]++;
    }
}

FC_API int fc_rank(
    const float *values, size_t count, size_t rank, float *least, size_t *above, size_t *equal)
{
    uint32_t bins[BINS], prefix = 0;
    size_t left = rank;
    if (rank == 0 || rank > count || count > UINT32_MAX)
        return FC_ROOM;
    for (int turn = 0; turn < 3; turn++) {
        count_bins(values, count, prefix, turn, bins);
        uint32_t bin = (1U << TURNS[turn].width) - 1;
        while (bins[bin] < left)
            left -= bins[bin--];
        prefix = prefix << TURNS[turn].width | bin;
        *equal = bins[bin];
    }
    *least = of_bits(prefix);
    *above = rank - left;
    return FC_OK;
}

/* Make 0 of each value whose magnitude is below a bound. */
FC_INLINE void zero_below_body(float *values, size_t count, float least)
{
    for (size_t i = 0; i < count; i++)
        values[i] = magnitude(values[i]) >= least ? values[i] : 0.0F;
}
COMPILED_TWICE(zero_below, (float *values, size_t count, float least), (values, count, least))

FC_API void fc_keep_from(float *values, size_t count, float least)
{
    zero_below(values, count, least);
}
