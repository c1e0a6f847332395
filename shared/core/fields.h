/*
 * Tensors as bitmaps, where no thresholds are shared: the same model, but not cell by cell.
 *
 * Without thresholds a cell's distance depends on its tensor, row and column alone, and most lines
 * have one of a few scales. So what the cells of a row expect is found by counting bits: those that
 * it has visited, in the columns of each group that hazards do not tell apart. Which cell is
 * visited when depends on the shapes alone, and is prepared once.
 *
 * The first rounds have few cells, which are listed as ever (order.h).
 */
#ifndef FC_FIELDS_H
#define FC_FIELDS_H

#include "order.h"

enum {
    FC_LISTED = 6,                        /* rounds whose cells are listed */
    FC_MAPS = FC_ROUNDS - FC_LISTED,      /* cells visited up to round 5, 6, ..., 10 */
    FC_MOST_LINE_CELLS = 1 << 15,
};

/* A tensor's bitmaps; map k has the cells visited up to round FC_LISTED - 1 + k. */
struct fc_field {
    uint32_t rows, cols, row_words, col_words;
    uint64_t *by_row; /* [map][row][row_words] */
    uint64_t *by_col; /* [map][column][col_words] */
    uint16_t *count;  /* [map][column]: cells of a column */
};

/* One row or column of a map. */
FC_INLINE const uint64_t *fc_map_row(const struct fc_field *f, uint32_t map, uint32_t row)
{
    return f->by_row + ((size_t)map * f->rows + row) * f->row_words;
}

FC_INLINE const uint64_t *fc_map_col(const struct fc_field *f, uint32_t map, uint32_t col)
{
    return f->by_col + ((size_t)map * f->cols + col) * f->col_words;
}

/* The cells of a round from FC_LISTED on, 64 columns at a time. */
FC_INLINE uint64_t fc_round_bits(
    const struct fc_field *f, uint32_t round, uint32_t row, uint32_t word)
{
    const uint32_t left = f->cols - 64 * word, map = round - FC_LISTED;
    const uint64_t before = fc_map_row(f, map, row)[word];
    if (round < FC_ROUNDS - 1)
        return fc_map_row(f, map + 1, row)[word] ^ before;
    return (left < 64 ? ((uint64_t)1 << left) - 1 : UINT64_MAX) ^ before;
}

/* How many bits are set; `wide`: on a processor that has an instruction for it. */
FC_INLINE uint32_t fc_popcount(uint64_t x, const int wide)
{
#if defined(__ARM_NEON) || defined(__wasm__)
    (void)wide;
    return (uint32_t)__builtin_popcountll(x);
#else
#if defined(FC_AVX2)
    if (wide) {
        __asm__("popcnt %0, %0" : "+r"(x) : : "cc");
        return (uint32_t)x;
    }
#endif
    (void)wide;
    x -= x >> 1 & 0x5555555555555555u;
    x = (x & 0x3333333333333333u) + (x >> 2 & 0x3333333333333333u);
    x = (x + (x >> 4)) & 0x0F0F0F0F0F0F0F0Fu;
    return (uint32_t)(x * 0x0101010101010101u >> 56);
#endif
}

#endif
