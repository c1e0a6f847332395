/*
 * The cells of a frame's scattered tensors, in the order in which they are visited.
 *
 * A row is cut into pieces of at most 32,768 cells (nearly always it is one piece), and the cells
 * of a piece are sorted by the round that visits them, then by column. What a round has learned
 * from is then the beginning of every piece, in one run, and its own cells follow.
 */
#ifndef FC_ORDER_H
#define FC_ORDER_H

#include "bits.h"
#include "frugalfl_core.h"

enum {
    FC_ROUNDS = 12,
    FC_PIECE = 1 << 15,
    FC_SPARE = 6 * FC_PIECE, /* bytes: logarithms, shifts, and cells of a piece */
    FC_NO_LOG = 8 * 17, /* above every logarithm */
};
#define FC_MOST_CELLS ((uint64_t)1 << 31)

struct fc_piece {
    uint32_t first;            /* its first cell in the order */
    uint32_t cell;             /* the same, counted through all tensors of the frame */
    uint32_t word;             /* number of that cell's threshold word */
    uint32_t row, col;         /* its row's number, its first column's, through all tensors */
    uint32_t width;            /* how many cells it has */
    uint16_t ends[FC_ROUNDS];  /* of its cells, where those of each round end */
};

struct fc_order {
    uint32_t tensors, cells, rows, cols, pieces;
    struct fc_piece *piece; /* one more than there are: where the last ends */
    uint32_t *tensor;       /* first piece of each tensor, dense ones have none; one more */
    uint32_t *column;       /* first column of each tensor; one more */
    uint32_t listed, kept;  /* rounds whose cells are listed, and how many those are */
    uint32_t *cell;         /* its column in its piece; above 16 bits, its threshold's logarithm */
};

enum { FC_LOG_SHIFT = 16, FC_COL_MASK = 0xFFFF };

/* Where the cells of a round begin in a piece. */
FC_INLINE uint32_t fc_begins(const struct fc_piece *piece, uint32_t round)
{
    return piece->first + (round ? piece->ends[round - 1] : 0u);
}

FC_INLINE uint32_t fc_ends(const struct fc_piece *piece, uint32_t round)
{
    return piece->first + piece->ends[round];
}

/* The round that visits a cell: the odd number has one bit more than the threshold's upper half,
 * and the first round has all of up to 6 bits. */
FC_INLINE uint32_t fc_round_of_log(uint32_t log)
{
    return log < 48 ? 0 : (log >> 3) - 5;
}

FC_INLINE uint32_t fc_cell_word(const struct fc_grid *grid, uint32_t mixed, uint32_t number)
{
    return grid->words ? grid->words[number] : fc_word(number, mixed);
}

#endif
