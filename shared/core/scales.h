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
    uint32_t *shift;              /* of each column: FC_MOST_LINE less its scale */
    uint32_t *place;              /* of each piece's first cell in the round; one more */
    uint32_t *sums;               /* by place: the hazards of all cells before, modulo 2**32 */
    uint32_t seen[FC_CLASSES], ones[FC_CLASSES];
    uint8_t stale[FC_CLASSES]; /* whether the hazard is to be found anew */
    const uint16_t *prior;     /* by class */
    /* By distance: the prior, the hazard, and how many cells of the round have it, in two parts. */
    uint32_t weight[FC_DISTANCES], hazard[FC_DISTANCES], count[2][FC_DISTANCES];
    int hinted;
};

FC_INLINE int32_t fc_class_of(int32_t index)
{
    /* Rounded down, whatever >> does to negative numbers. */
    return fc_clamp((int32_t)((uint32_t)(index + 4096 - FC_ORIGIN) >> 2) - 1024 + FC_CENTRE, 0,
                    FC_CLASSES - 1);
}

/* The part of a distance's index that all cells of a row share; not negative. */
FC_INLINE uint32_t fc_base_of(const struct fc_scales *s, uint32_t tensor, uint32_t row)
{
    const int32_t most = FC_ORIGIN - FC_MOST_LINE - (s->hinted ? FC_NO_LOG : 0);
    return (uint32_t)(most - s->tensor[tensor].scale - s->row[row].scale);
}

/* The part that is a cell's own. Nothing here has a sign: that saves extending it. */
FC_INLINE uint32_t fc_distance(uint32_t cell, const uint32_t *shift, const int hinted)
{
    return hinted ? (cell >> FC_LOG_SHIFT) + shift[cell & FC_COL_MASK] : shift[cell];
}

#endif
