/* Prepares bitmaps of the cells' rounds. */
#include "fields.h"

/* A fuzzer may have others, as frames of small tensors are soon tried. */
#if !defined(FC_LEAST_CELLS)
#define FC_LEAST_CELLS (1 << 17)
#define FC_LEAST_BY_LINE 16
#endif

/* Whether bitmaps pay: lines that are neither too long nor too short, and enough of them. */
static int fc_has_fields(const struct fc_grid *grid)
{
    uint64_t cells = 0, lines = 0;
    for (uint32_t t = 0; t < grid->tensors; t++) {
        const uint64_t rows = grid->shapes[t].rows, cols = grid->shapes[t].cols;
        if (rows > FC_MOST_LINE_CELLS || cols > FC_MOST_LINE_CELLS)
            return 0;
        cells += rows * cols;
        lines += rows && cols ? rows + cols : 0;
    }
    return !grid->hinted && cells < FC_MOST_CELLS && cells >= FC_LEAST_CELLS &&
           cells >= FC_LEAST_BY_LINE * lines;
}

static void fc_lay_out_fields(
    struct fc_field *fields, const struct fc_grid *grid, struct fc_room *room)
{
    for (uint32_t t = 0; t < grid->tensors; t++) {
        struct fc_field f = {grid->shapes[t].rows, grid->shapes[t].cols, 0, 0, NULL, NULL, NULL};
        if (f.rows == 0 || f.cols == 0)
            f.rows = f.cols = 0;
        f.row_words = (f.cols + 63) / 64;
        f.col_words = (f.rows + 63) / 64;
        f.by_row = fc_part(room, (uint64_t)FC_MAPS * f.rows * f.row_words, sizeof *f.by_row);
        f.by_col = fc_part(room, (uint64_t)FC_MAPS * f.cols * f.col_words, sizeof *f.by_col);
        f.count = fc_part(room, (uint64_t)FC_MAPS * f.cols, sizeof *f.count);
        if (room->memory)
            fields[t] = f;
    }
}

/* Let each map have what the one before it has. */
static void fc_accumulate(uint64_t *maps, size_t words)
{
    for (uint32_t k = 1; k < FC_MAPS; k++)
        for (size_t i = 0; i < words; i++)
            maps[k * words + i] |= maps[(k - 1) * words + i];
}

static void fc_set_bits(struct fc_field *f, uint32_t row, const uint8_t *logs)
{
    for (uint32_t c = 0; c < f->cols; c++) {
        const uint32_t round = fc_round_of_log(logs[c]);
        const uint32_t map = round < FC_LISTED ? 0 : round - (FC_LISTED - 1);
        if (map == FC_MAPS)
            continue; /* the last round's: nobody learns from them */
        f->by_row[((size_t)map * f->rows + row) * f->row_words + c / 64] |= (uint64_t)1 << c % 64;
        f->by_col[((size_t)map * f->cols + c) * f->col_words + row / 64] |=
            (uint64_t)1 << row % 64;
    }
}

static void fc_count_columns(struct fc_field *f)
{
    for (uint32_t map = 0; map < FC_MAPS; map++)
        for (uint32_t c = 0; c < f->cols; c++) {
            const uint64_t *bits = fc_map_col(f, map, c);
            uint32_t count = 0;
            for (uint32_t i = 0; i < f->col_words; i++)
                count += fc_popcount(bits[i], 0);
            f->count[(size_t)map * f->cols + c] = (uint16_t)count;
        }
}

/* Make the bitmaps; `words` is the number of each tensor's first threshold word. */
static void fc_make_field(
    struct fc_field *f, const struct fc_grid *grid, uint32_t word, uint8_t *logs)
{
    const size_t row_words = (size_t)f->rows * f->row_words;
    const size_t col_words = (size_t)f->cols * f->col_words;
    fc_zero(f->by_row, FC_MAPS * row_words * sizeof *f->by_row);
    fc_zero(f->by_col, FC_MAPS * col_words * sizeof *f->by_col);
    for (uint32_t row = 0; row < f->rows; row++, word += f->cols) {
        fc_find_logs(logs, grid, fc_finalise(0), word, f->cols);
        fc_set_bits(f, row, logs);
    }
    fc_accumulate(f->by_row, row_words);
    fc_accumulate(f->by_col, col_words);
    fc_count_columns(f);
}

/* How many cells the listed rounds have: the words of seed 0 decide. */
static uint32_t fc_count_listed(const struct fc_grid *grid)
{
    const uint32_t mixed = fc_finalise(0);
    uint32_t cells = 0, listed = 0;
    for (uint32_t t = 0; t < grid->tensors; t++)
        cells += grid->shapes[t].rows * grid->shapes[t].cols;
    /* Up to round k are those whose word's upper half is below 2**(k + 5). */
    for (uint32_t i = 0; i < cells; i++)
        listed += fc_word(i, mixed) >> 16 < 1u << (FC_LISTED + 4);
    return listed;
}
