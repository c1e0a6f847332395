/* Hashes cells, takes logarithms of their thresholds, sorts them by round: entropy/scales.py. */
#include "order.h"

/* Cells are counted by round in a register, five bits a round, so many cells at a time. */
enum { FC_CHUNK = 31, FC_EACH = 5 };

/* The logarithm of an odd number of up to 17 bits, without branches or tables: several at once. */
FC_INLINE uint32_t fc_log_of_odd(uint32_t n)
{
#if defined(__SSE2__) || defined(__ARM_NEON)
    /* A float has the length and the mantissa of such a number, exactly. */
    union {
        float exact;
        uint32_t bits;
    } as = {(float)(int32_t)n};
    const int32_t mantissa = (int32_t)(1 << 15 | (as.bits >> 8 & 0x7FFF));
    uint32_t k = 8 * ((as.bits >> 23) - 127);
    for (int i = 1; i < 8; i++)
        k += mantissa >= (int32_t)FC_EIGHTHS[i];
    return k;
#else
    return (uint32_t)fc_eighths(n);
#endif
}

FC_INLINE uint32_t fc_log_of_word(uint32_t word)
{
    return fc_log_of_odd(2 * (word >> 16) + 1);
}

/* Logarithms of a piece's cells. */
FC_INLINE void fc_log_cells(
    uint8_t *restrict logs, const struct fc_grid *grid, uint32_t mixed, uint32_t word,
    uint32_t count)
{
    if (grid->words)
        for (uint32_t i = 0; i < count; i++)
            logs[i] = (uint8_t)fc_log_of_word(grid->words[word + i]);
    else
        for (uint32_t i = 0; i < count; i++)
            logs[i] = (uint8_t)fc_log_of_word(fc_word(word + i, mixed));
}

#if defined(FC_AVX2)
/* The same for machines with vectors of 256 bits: in half the time. */
FC_AVX2 static void fc_log_cells_wide(
    uint8_t *restrict logs, const struct fc_grid *grid, uint32_t mixed, uint32_t word,
    uint32_t count)
{
    fc_log_cells(logs, grid, mixed, word, count);
}
#endif

static void fc_find_logs(
    uint8_t *logs, const struct fc_grid *grid, uint32_t mixed, uint32_t word, uint32_t count)
{
#if defined(FC_AVX2)
    if (grid->machine & FC_HAS_AVX2) {
        fc_log_cells_wide(logs, grid, mixed, word, count);
        return;
    }
#endif
    fc_log_cells(logs, grid, mixed, word, count);
}

/* Five times the round of each cell. */
static void fc_find_shifts(uint8_t *restrict shifts, const uint8_t *restrict logs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t log = logs[i] < 40 ? 40 : logs[i];
        shifts[i] = (uint8_t)(FC_EACH * ((log >> 3) - 5));
    }
}

/* Counts are kept where their bits are in the register: that saves a division for each cell. */
enum { FC_COUNTS = FC_EACH * FC_ROUNDS };

FC_INLINE void fc_add_counts(uint32_t *counts, uint64_t packed)
{
    for (uint32_t k = 0; k < FC_COUNTS; k += FC_EACH)
        counts[k] += (uint32_t)(packed >> k) & 31;
}

static void fc_count_rounds(uint32_t *counts, const uint8_t *shifts, uint32_t count)
{
    for (uint32_t i = 0; i < count;) {
        const uint32_t stop = count - i < FC_CHUNK ? count : i + FC_CHUNK;
        uint64_t packed = 0;
        for (; i < stop; i++)
            packed += (uint64_t)1 << shifts[i];
        fc_add_counts(counts, packed);
    }
}

/* Put each cell where it belongs; `next` says where the next of each round does. */
FC_INLINE void fc_place_cells(
    uint32_t *restrict cells, uint32_t *restrict next, const uint8_t *restrict logs,
    const uint8_t *restrict shifts, uint32_t count, const int hinted)
{
    for (uint32_t i = 0; i < count;) {
        const uint32_t stop = count - i < FC_CHUNK ? count : i + FC_CHUNK;
        uint64_t packed = 0;
        for (; i < stop; i++) {
            const uint32_t shift = shifts[i];
            const uint32_t at = next[shift] + (uint32_t)(packed >> shift & 31);
            packed += (uint64_t)1 << shift;
            cells[at] = i | (hinted ? (uint32_t)logs[i] << FC_LOG_SHIFT : 0);
        }
        fc_add_counts(next, packed);
    }
}

/* Sort a piece's cells to where its first is to be. */
static void fc_sort_piece(
    uint32_t *cells, struct fc_piece *piece, const struct fc_grid *grid, uint32_t mixed,
    uint8_t *logs)
{
    const uint32_t count = piece->width;
    uint8_t *shifts = logs + FC_PIECE;
    uint32_t next[FC_COUNTS] = {0};
    fc_find_logs(logs, grid, mixed, piece->word, count);
    fc_find_shifts(shifts, logs, count);
    fc_count_rounds(next, shifts, count);
    for (uint32_t k = 0, sum = 0; k < FC_ROUNDS; k++) {
        const uint32_t size = next[FC_EACH * k];
        next[FC_EACH * k] = sum;
        sum += size;
        piece->ends[k] = (uint16_t)sum;
    }
    if (grid->hinted)
        fc_place_cells(cells, next, logs, shifts, count, 1);
    else
        fc_place_cells(cells, next, logs, shifts, count, 0);
}

/* Sort a piece; keep its cells of the listed rounds, and return how many those are. */
static uint32_t fc_list_cells(
    const struct fc_order *order, struct fc_piece *piece, const struct fc_grid *grid,
    uint32_t mixed, uint8_t *spare)
{
    uint32_t *to = order->cell + piece->first;
    uint32_t *cells = order->listed == FC_ROUNDS ? to : (uint32_t *)(spare + 2 * FC_PIECE);
    fc_sort_piece(cells, piece, grid, mixed, spare);
    for (uint32_t i = 0; cells != to && i < piece->ends[order->listed - 1]; i++)
        to[i] = cells[i];
    return piece->ends[order->listed - 1];
}

/* Lay the arrays out; 0 if the shapes are too large. `kept`: of the cells, the listed ones. */
static int fc_lay_out_order(
    struct fc_order *order, const struct fc_grid *grid, const uint8_t *dense, uint32_t listed,
    uint32_t kept, struct fc_room *room)
{
    uint64_t cells = 0, rows = 0, cols = 0, pieces = 0;
    for (uint32_t t = 0; t < grid->tensors; t++) {
        const uint64_t height = grid->shapes[t].rows, width = grid->shapes[t].cols;
        if (height == 0 || width == 0 || (dense && dense[t]))
            continue;
        cells += height * width; /* no overflow: below 2**31 before, and a product below 2**64 */
        if (height * width >= FC_MOST_CELLS || cells >= FC_MOST_CELLS)
            return 0;
        rows += height;
        cols += width;
        pieces += height * ((width + FC_PIECE - 1) / FC_PIECE);
    }
    order->tensors = grid->tensors;
    order->cells = (uint32_t)cells;
    order->rows = (uint32_t)rows;
    order->cols = (uint32_t)cols;
    order->pieces = (uint32_t)pieces;
    order->piece = fc_part(room, pieces + 1, sizeof *order->piece);
    order->tensor = fc_part(room, (uint64_t)grid->tensors + 1, sizeof *order->tensor);
    order->column = fc_part(room, (uint64_t)grid->tensors + 1, sizeof *order->column);
    order->listed = listed;
    order->kept = listed == FC_ROUNDS ? order->cells : kept;
    order->cell = fc_part(room, order->kept, sizeof *order->cell);
    return 1;
}

/* Sort the cells of all tensors that are not dense. `spare`: FC_SPARE bytes. */
static void fc_make_order(
    struct fc_order *order, const struct fc_grid *grid, const uint8_t *dense, uint8_t *spare)
{
    const uint32_t mixed = fc_finalise(grid->hinted ? grid->seed : 0);
    uint32_t row = 0, col = 0, first = 0, cell = 0, word = 0;
    struct fc_piece *piece = order->piece;
    for (uint32_t t = 0; t < grid->tensors; t++) {
        const uint32_t height = grid->shapes[t].rows, width = grid->shapes[t].cols;
        order->tensor[t] = (uint32_t)(piece - order->piece);
        order->column[t] = col;
        if (dense && dense[t]) {
            cell += height * width;
            continue;
        }
        for (uint32_t r = 0; width && r < height; r++, row++)
            for (uint32_t begin = 0; begin < width; begin += FC_PIECE, piece++) {
                const uint32_t count = fc_least(width - begin, FC_PIECE);
                piece->first = first;
                piece->cell = cell;
                piece->word = grid->hinted ? cell : word;
                piece->row = row;
                piece->col = col + begin;
                piece->width = count;
                first += fc_list_cells(order, piece, grid, mixed, spare);
                word += count;
                cell += count;
            }
        col += height ? width : 0;
    }
    order->tensor[grid->tensors] = (uint32_t)(piece - order->piece);
    order->column[grid->tensors] = col;
    piece->first = first;
    piece->row = row;
}
