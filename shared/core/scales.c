/* Hazards of a round's cells, and what is learned from its hits: entropy/scales.py. */
#include "scales.h"

static void fc_lay_out_scales(
    struct fc_scales *s, const struct fc_order *order, struct fc_room *room)
{
    s->order = order;
    s->tensor = fc_part(room, order->tensors, sizeof *s->tensor);
    s->row = fc_part(room, order->rows, sizeof *s->row);
    s->column = fc_part(room, order->cols, sizeof *s->column);
    s->in_row = fc_part(room, order->rows, sizeof *s->in_row);
    s->in_column = fc_part(room, order->cols, sizeof *s->in_column);
    s->scale = fc_part(room, order->cols, sizeof *s->scale);
    s->place = fc_part(room, (uint64_t)order->pieces + 1, sizeof *s->place);
    s->sums = fc_part(room, (uint64_t)order->cells + 1, sizeof *s->sums);
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
    fc_zero(s->scale, s->order->cols * sizeof *s->scale);
    s->prior = hinted ? FC_HALVES_HINTED : FC_HALVES_BLIND;
    for (int32_t i = 0; i < FC_CLASSES; i++) {
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

/* The hazard of each class, by distance. */
static void fc_find_hazards(struct fc_scales *s)
{
    int32_t index = 0;
    for (int32_t i = 0; i < FC_CLASSES; i++) {
        const uint32_t hazard = fc_hazard_of(s->ones[i] / s->seen[i]);
        const int32_t stop =
            i < FC_CLASSES - 1 ? FC_ORIGIN + 4 * (i + 1 - FC_CENTRE) : FC_DISTANCES;
        while (index < stop)
            s->hazard[index++] = hazard;
    }
}

/* Add up the hazards of a piece's cells in this round; count them if they will be learned from. */
FC_INLINE uint32_t fc_add_hazards(
    struct fc_scales *s, const struct fc_piece *piece, uint32_t i, uint32_t end, int32_t base,
    uint32_t sum, uint32_t *restrict sums, const int hinted, const int counted)
{
    const uint32_t *hazard = s->hazard + base;
    const uint16_t *restrict col = s->order->col;
    const uint8_t *restrict log = s->order->log;
    const int16_t *scale = s->scale + piece->col;
    uint32_t *count = s->count + base;
    for (; i < end; i++) {
        const int32_t distance = fc_distance(log, col, scale, i, hinted);
        sum += hazard[distance];
        *sums++ = sum;
        if (counted)
            count[distance]++;
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
            const int32_t base = fc_base_of(s, t, piece->row);
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
static void fc_count_hit(struct fc_scales *s, uint32_t tensor, uint32_t piece, uint32_t at)
{
    const struct fc_piece *in = s->order->piece + piece;
    const uint32_t column = in->col + s->order->col[at];
    const int32_t log = s->hinted ? s->order->log[at] : 0;
    s->ones[fc_class_of(fc_base_of(s, tensor, in->row) + log - s->scale[column])] += 1 << 16;
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
    const struct fc_scales *s, const struct fc_piece *piece, uint32_t round, int32_t base,
    const int hinted)
{
    const uint16_t *weight = s->weight + base, *col = s->order->col + piece->first;
    const uint8_t *log = s->order->log + (hinted ? piece->first : 0);
    const int16_t *scale = s->scale + piece->col;
    uint32_t sum = 0; /* 32,768 weights fit */
    for (uint32_t i = 0; i < piece->ends[round]; i++)
        sum += weight[fc_distance(log, col, scale, i, hinted)];
    return sum;
}

/* The same for the columns. */
FC_INLINE void fc_weigh_columns(
    struct fc_scales *s, const struct fc_piece *piece, uint32_t round, int32_t base,
    const int hinted)
{
    const uint16_t *weight = s->weight + base, *restrict col = s->order->col + piece->first;
    const uint8_t *restrict log = s->order->log + (hinted ? piece->first : 0);
    const int16_t *restrict scale = s->scale + piece->col;
    uint64_t *restrict expected = s->in_column + piece->col;
    for (uint32_t i = 0; i < piece->ends[round]; i++)
        expected[col[i]] += weight[fc_distance(log, col, scale, i, hinted)];
}

/* Fit the scale of a tensor, then of its rows, then of its columns. */
FC_INLINE void fc_learn_tensor(struct fc_scales *s, uint32_t t, uint32_t round, const int hinted)
{
    const struct fc_piece *first = s->order->piece + s->order->tensor[t];
    const struct fc_piece *last = s->order->piece + s->order->tensor[t + 1], *piece;
    const uint32_t col = first->col, width = last[-1].col + (last->first - last[-1].first) - col;
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
        fc_fit(s->column + c, s->in_column[c], FC_LINE_PRIOR, FC_MOST_LINE);
        s->scale[c] = s->column[c].scale;
    }
}

/* Refit the scales to all cells up to this round, which had some. */
static void fc_learn(struct fc_scales *s, uint32_t round)
{
    const uint32_t *tensor = s->order->tensor;
    for (int32_t i = 0; i < FC_DISTANCES; i++)
        s->seen[fc_class_of(i)] += s->count[i];
    for (uint32_t t = 0; t < s->order->tensors; t++) {
        if (tensor[t] == tensor[t + 1])
            continue;
        if (s->hinted)
            fc_learn_tensor(s, t, round, 1);
        else
            fc_learn_tensor(s, t, round, 0);
    }
}
