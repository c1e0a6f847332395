/* Hazards of a round's cells, and what is learned from its hits: entropy/scales.py. */
#include "scales.h"

/* Less than this on top of the prior of a line has the prior's logarithm. */
enum { FC_TOO_FEW = (35734 << 2) - FC_LINE_PRIOR };

static void fc_lay_out_scales(
    struct fc_scales *s, const struct fc_order *order, struct fc_room *room)
{
    s->order = order;
    s->tensor = fc_part(room, order->tensors, sizeof *s->tensor);
    s->row = fc_part(room, order->rows, sizeof *s->row);
    s->column = fc_part(room, order->cols, sizeof *s->column);
    s->in_row = fc_part(room, order->rows, sizeof *s->in_row);
    s->in_column = fc_part(room, order->cols, sizeof *s->in_column);
    s->shift = fc_part(room, order->cols, sizeof *s->shift);
    s->place = fc_part(room, (uint64_t)order->pieces + 1, sizeof *s->place);
    s->sums = fc_part(room, (uint64_t)order->kept + 1, sizeof *s->sums);
}

static void fc_start_lines(struct fc_line *lines, uint32_t count, int16_t scale, uint32_t prior)
{
    const struct fc_line fresh = {0, (int16_t)fc_eighths(prior), scale};
    for (uint32_t i = 0; i < count; i++)
        lines[i] = fresh;
}

static void fc_start_scales(struct fc_scales *s, int hinted)
{
    s->hinted = hinted;
    fc_start_lines(s->tensor, s->order->tensors, FC_FIRST_SCALE, FC_TENSOR_PRIOR);
    fc_start_lines(s->row, s->order->rows, 0, FC_LINE_PRIOR);
    fc_start_lines(s->column, s->order->cols, 0, FC_LINE_PRIOR);
    for (uint32_t c = 0; c < s->order->cols; c++)
        s->shift[c] = FC_MOST_LINE;
    s->prior = hinted ? FC_HALVES_HINTED : FC_HALVES_BLIND;
    for (int32_t i = 0; i < FC_CLASSES; i++) {
        s->stale[i] = 1;
        s->seen[i] = FC_PRIOR_CELLS;
        s->ones[i] = FC_PRIOR_CELLS * (uint32_t)s->prior[i];
    }
    for (int32_t i = 0; i < FC_DISTANCES; i++)
        s->weight[i] = s->prior[fc_class_of(i)];
}

/* The first of CHANCES that is at least a class's. */
static uint32_t fc_hazard_of(uint32_t wanted)
{
    uint32_t low = 0;
    for (uint32_t left = sizeof FC_CHANCES / sizeof *FC_CHANCES; left > 1;) {
        const uint32_t half = left / 2;
        low += FC_CHANCES[low + half - 1] < wanted ? half : 0;
        left -= half;
    }
    return FC_HAZARDS[low];
}

/* The distances of a class: from here up to where the next begins. */
FC_INLINE int32_t fc_class_start(int32_t class)
{
    return class == 0 ? 0 : class < FC_CLASSES ? FC_ORIGIN + 4 * (class - FC_CENTRE) : FC_DISTANCES;
}

/* The hazard of each class, by distance; most classes are as they were. */
static void fc_find_hazards(struct fc_scales *s)
{
    for (int32_t i = 0; i < FC_CLASSES; i++) {
        if (!s->stale[i])
            continue;
        const uint32_t hazard = fc_hazard_of(s->ones[i] / s->seen[i]);
        const int32_t stop = fc_class_start(i + 1);
        for (int32_t at = fc_class_start(i); at < stop; at++)
            s->hazard[at] = hazard;
        s->stale[i] = 0;
    }
}

/* Add the cells of the round to those seen of their class. */
static void fc_add_seen(struct fc_scales *s)
{
    for (int32_t i = 0; i < FC_CLASSES; i++) {
        const int32_t stop = fc_class_start(i + 1);
        uint32_t cells = 0;
        for (int32_t at = fc_class_start(i); at < stop; at++)
            cells += s->count[0][at] + s->count[1][at];
        s->seen[i] += cells;
        s->stale[i] |= cells != 0; /* so is one with hits, which are cells */
    }
}

/* Add up the hazards of a piece's cells in this round; count them if they will be learned from. */
FC_INLINE uint32_t fc_add_hazards(
    struct fc_scales *s, const struct fc_piece *piece, uint32_t i, uint32_t end, uint32_t base,
    uint32_t sum, uint32_t *restrict sums, const int hinted, const int counted)
{
    const uint32_t *restrict hazard = s->hazard + base, *restrict cell = s->order->cell;
    const uint32_t *restrict shift = s->shift + piece->col;
    uint32_t *restrict count[2] = {s->count[0] + base, s->count[1] + base};
    FC_UNROLL
    for (; i < end; i++) {
        const uint32_t distance = fc_distance(cell[i], shift, hinted);
        sum += hazard[distance];
        *sums++ = sum;
        if (counted) /* by turns: many have the same distance as the one before */
            count[i & 1][distance]++;
    }
    return sum;
}

FC_INLINE uint32_t fc_predict_cells(struct fc_scales *s, uint32_t round, const int hinted)
{
    const struct fc_order *order = s->order;
    uint32_t sum = 0, place = 0;
    for (uint32_t t = 0; t < order->tensors; t++)
        for (uint32_t p = order->tensor[t]; p < order->tensor[t + 1]; p++) {
            const struct fc_piece *piece = order->piece + p;
            const uint32_t i = fc_begins(piece, round), end = fc_ends(piece, round);
            s->place[p] = place;
            if (i == end)
                continue;
            const uint32_t base = fc_base_of(s, t, piece->row);
            uint32_t *sums = s->sums + place + 1;
            if (round < FC_ROUNDS - 1)
                sum = fc_add_hazards(s, piece, i, end, base, sum, sums, hinted, 1);
            else
                sum = fc_add_hazards(s, piece, i, end, base, sum, sums, hinted, 0);
            place += end - i;
        }
    s->place[order->pieces] = place;
    return place;
}

/* Predict the hazards of the cells of a round; how many cells it has. */
static uint32_t fc_predict(struct fc_scales *s, uint32_t round)
{
    fc_find_hazards(s);
    fc_zero(s->count, sizeof s->count);
    s->sums[0] = 0;
    return s->hinted ? fc_predict_cells(s, round, 1) : fc_predict_cells(s, round, 0);
}

FC_INLINE void fc_add_hit(struct fc_line *line, uint32_t prior)
{
    line->hits++;
    line->log = (int16_t)fc_eighths(((uint64_t)line->hits << 16) + prior);
}

/* Count a hit, by its class before anything is learned from the round. */
static void fc_count_hit(struct fc_scales *s, uint32_t tensor, uint32_t piece, uint32_t cell)
{
    const struct fc_piece *in = s->order->piece + piece;
    const uint32_t column = in->col + (cell & FC_COL_MASK);
    const uint32_t distance = (cell >> FC_LOG_SHIFT) + s->shift[column];
    s->ones[fc_class_of((int32_t)(fc_base_of(s, tensor, in->row) + distance))] += 1 << 16;
    fc_add_hit(s->tensor + tensor, FC_TENSOR_PRIOR);
    fc_add_hit(s->row + in->row, FC_LINE_PRIOR);
    fc_add_hit(s->column + column, FC_LINE_PRIOR);
}

/* Move a scale towards the hits; by how much. `expected`: what it predicts, times 65536. */
FC_INLINE int32_t fc_fit(struct fc_line *line, uint64_t expected, uint32_t prior, int32_t most)
{
    const int32_t step = line->log - fc_eighths(expected + prior);
    const int32_t move = (int32_t)((uint32_t)(45 * step + 32 + (1 << 20)) >> 6) - (1 << 14);
    const int32_t scale = fc_clamp(line->scale + move, -most, most);
    const int32_t change = scale - line->scale;
    line->scale = (int16_t)scale;
    return change;
}

/* The hits that the scales predict in a piece's cells up to a round. */
FC_INLINE uint64_t fc_weigh(
    const struct fc_scales *s, const struct fc_piece *piece, uint32_t round, uint32_t base,
    const int hinted)
{
    const uint32_t *cell = s->order->cell + piece->first;
    const uint32_t *weight = s->weight + base, *shift = s->shift + piece->col;
    uint32_t sum = 0; /* 32,768 weights fit */
    FC_UNROLL
    for (uint32_t i = 0; i < piece->ends[round]; i++)
        sum += weight[fc_distance(cell[i], shift, hinted)];
    return sum;
}

/* The same for the columns. */
FC_INLINE void fc_weigh_columns(
    struct fc_scales *s, const struct fc_piece *piece, uint32_t round, uint32_t base,
    const int hinted)
{
    const uint32_t *restrict cell = s->order->cell + piece->first;
    const uint32_t *restrict weight = s->weight + base;
    const uint32_t *restrict shift = s->shift + piece->col;
    uint64_t *restrict expected = s->in_column + piece->col;
    FC_UNROLL
    for (uint32_t i = 0; i < piece->ends[round]; i++)
        expected[cell[i] & FC_COL_MASK] += weight[fc_distance(cell[i], shift, hinted)];
}

/* Fit the scale of a tensor, then of its rows, then of its columns. */
FC_INLINE void fc_learn_tensor(struct fc_scales *s, uint32_t t, uint32_t round, const int hinted)
{
    const struct fc_piece *first = s->order->piece + s->order->tensor[t];
    const struct fc_piece *last = s->order->piece + s->order->tensor[t + 1], *piece;
    const uint32_t col = s->order->column[t], width = s->order->column[t + 1] - col;
    uint64_t expected = 0;
    for (piece = first; piece < last; piece++)
        s->in_row[piece->row] = 0;
    for (piece = first; piece < last; piece++) {
        const uint64_t sum = piece->ends[round]
            ? fc_weigh(s, piece, round, fc_base_of(s, t, piece->row), hinted) : 0;
        s->in_row[piece->row] += sum;
        expected += sum;
    }
    const int32_t change = fc_fit(s->tensor + t, expected, FC_TENSOR_PRIOR, FC_MOST_TENSOR);
    fc_zero(s->in_column + col, width * sizeof *s->in_column);
    for (piece = first; piece < last;) {
        const struct fc_piece *row = piece;
        const uint32_t r = row->row;
        if (change) {
            s->in_row[r] = 0;
            for (; piece < last && piece->row == r; piece++)
                s->in_row[r] += fc_weigh(s, piece, round, fc_base_of(s, t, r), hinted);
        }
        fc_fit(s->row + r, s->in_row[r], FC_LINE_PRIOR, FC_MOST_LINE);
        for (piece = row; piece < last && piece->row == r; piece++)
            fc_weigh_columns(s, piece, round, fc_base_of(s, t, r), hinted);
    }
    for (uint32_t c = col; c < col + width; c++) {
        if (s->in_column[c] < FC_TOO_FEW && s->column[c].hits == 0)
            continue; /* as most are in the first rounds: too little is expected to move them */
        fc_fit(s->column + c, s->in_column[c], FC_LINE_PRIOR, FC_MOST_LINE);
        s->shift[c] = (uint32_t)(FC_MOST_LINE - s->column[c].scale);
    }
}

/* Refit the scales to all cells up to this round, which had some. */
static void fc_learn(struct fc_scales *s, uint32_t round)
{
    const uint32_t *tensor = s->order->tensor;
    fc_add_seen(s);
    for (uint32_t t = 0; t < s->order->tensors; t++) {
        if (tensor[t] == tensor[t + 1])
            continue;
        if (s->hinted)
            fc_learn_tensor(s, t, round, 1);
        else
            fc_learn_tensor(s, t, round, 0);
    }
}
