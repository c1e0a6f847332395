/*
 * What decoding and encoding of dense tensors share: entropy/dense.py and lanes.py.
 *
 * Tables of classes and chances are in the scalar stream; decisions ride in rANS lanes, words of 16
 * bits that are read from the end of the frame backwards. Decision i of a pass is in lane i mod L.
 */
#ifndef FC_DENSE_H
#define FC_DENSE_H

#include "coder.h"

enum {
    FC_MOST_LOG_LANES = 11,
    FC_EVEN = 40, /* the level of an even chance */
    FC_RAW_SIGN = 7,
    FC_SIGN_CLASSES = 15,
    FC_UNARY = 14,
    FC_LANE_SCALE = 12,
    /* Where each table's counters begin. */
    FC_TREE = 0,
    FC_PAIR = 34,
    FC_MORE = 68,
    FC_TAIL = 102,
    FC_TABLES = FC_TAIL + 34,
};

/* The scalar stream's counters; all dense tensors of a frame share them. */
struct fc_tables {
    fc_counts counts[FC_TABLES], flags[FC_UNARY + 1];
};

static void fc_start_tables(struct fc_tables *tables)
{
    fc_start_counts(tables->counts, FC_TABLES);
    fc_start_counts(tables->flags, FC_UNARY + 1);
}

/* A chance's level, coded as the difference to a prediction. */
FC_INLINE uint32_t fc_level(
    struct fc_coder *c, struct fc_tables *tables, uint32_t set, uint32_t predicted,
    uint32_t wanted, const int encode)
{
    const uint32_t less = wanted < predicted;
    int64_t value = (int64_t)fc_integer(
        c, tables->counts + set + 1, less ? predicted - wanted : wanted - predicted, encode);
    if (encode ? wanted != predicted : value != 0)
        if (fc_bit(c, tables->counts[set], less, encode))
            value = -value;
    if (encode)
        return wanted;
    value += predicted;
    if (value < 0 || value > 63) {
        fc_fail(c, FC_CORRUPT);
        return 0;
    }
    return (uint32_t)value;
}

/* A pair of classes is predicted from its neighbours' levels. */
FC_INLINE uint32_t fc_predict_pair(
    uint8_t levels[16][16], uint32_t above, uint32_t left, uint32_t row, uint32_t col)
{
    if (above && left)
        return (uint32_t)fc_clamp(
            levels[row][left] + levels[above][col] - levels[above][left], 0, 63);
    return left ? levels[row][left] : above ? levels[above][col] : FC_EVEN;
}

/* The level of each pair of classes that occurs; encoding, `levels` has them. */
FC_INLINE void fc_pair_levels(
    struct fc_coder *c, struct fc_tables *tables, const uint8_t *row_used,
    const uint8_t *col_used, uint8_t levels[16][16], const int encode)
{
    for (uint32_t row = 1, above = 0; row < 16; row++) {
        uint32_t left = 0;
        for (uint32_t col = 1; row_used[row] && col < 16; col++)
            if (col_used[col]) {
                const uint32_t predicted = fc_predict_pair(levels, above, left, row, col);
                levels[row][col] = (uint8_t)fc_level(
                    c, tables, FC_PAIR, predicted, levels[row][col], encode);
                left = col;
            }
        above = row_used[row] && left ? row : above;
    }
}

/* The fewest lanes for so many cells, so that no frame is slow to decode. */
FC_INLINE uint32_t fc_least_log_lanes(uint64_t cells)
{
    return (uint32_t)fc_clamp((int32_t)fc_bits_of(cells >> 14) - 1, 0, FC_MOST_LOG_LANES);
}

#endif
