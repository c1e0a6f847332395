/*
 * The scattered coder's predictions: scales of tensors, rows and columns, learned on the way.
 *
 * The reference is entropy/scales.py. Nothing here is a float: scales count eighths of an octave,
 * chances 1/65536. A cell's distance (its threshold less its scales) is never stored: what it is
 * made of is read again instead, which takes less time than writing does.
 */
#ifndef FC_SCALES_H
#define FC_SCALES_H

#include "bits.h"
#include "order.h"

enum {
    FC_CLASSES = 84,
    FC_CENTRE = 24,
    FC_FIRST_SCALE = -48,
    FC_MOST_TENSOR = 320,
    FC_MOST_LINE = 60,
    FC_PRIOR_CELLS = 32,
    FC_TENSOR_PRIOR = 1 << 15,
    FC_LINE_PRIOR = 2 << 16,
    /* A distance is kept as an index that is not negative, and below FC_DISTANCES. */
    FC_ORIGIN = FC_MOST_TENSOR + 2 * FC_MOST_LINE + FC_NO_LOG,
    FC_DISTANCES = 1024,
};

/* A tensor, row or column. */
struct fc_line {
    uint32_t hits;
    int16_t log; /* of the hits, and of the prior */
    int16_t scale;
};

struct fc_scales {
    const struct fc_order *order;
    struct fc_line *tensor, *row, *column;
    uint64_t *in_row, *in_column; /* the hits that are expected, times 65536 */
    int16_t *scale;               /* of each column, again: what the loops over cells need */
    uint32_t *place;              /* of each piece's first cell in the round; one more */
    uint32_t *sums;               /* by place: the hazards of all cells before, modulo 2**32 */
    uint32_t seen[FC_CLASSES], ones[FC_CLASSES];
    const uint16_t *prior; /* by class */
    /* By distance: the prior, the hazard, and how many cells of the round have it. */
    uint32_t hazard[FC_DISTANCES], count[FC_DISTANCES];
    uint16_t weight[FC_DISTANCES];
    int hinted;
};

FC_INLINE int32_t fc_class_of(int32_t index)
{
    /* Rounded down, whatever >> does to negative numbers. */
    return fc_clamp((int32_t)((uint32_t)(index + 4096 - FC_ORIGIN) >> 2) - 1024 + FC_CENTRE, 0,
                    FC_CLASSES - 1);
}

/* The part of a distance that all cells of a row share. */
FC_INLINE int32_t fc_base_of(const struct fc_scales *s, uint32_t tensor, uint32_t row)
{
    return FC_ORIGIN - (s->hinted ? FC_NO_LOG : 0) - s->tensor[tensor].scale - s->row[row].scale;
}

FC_INLINE int32_t fc_distance(
    const uint8_t *log, const uint16_t *col, const int16_t *scale, uint32_t i, const int hinted)
{
    return (hinted ? log[i] : 0) - scale[col[i]];
}

#endif
