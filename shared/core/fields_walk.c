/* Predicts, learns and walks on bitmaps: scales.c and walk.c for the rounds that are not listed. */
#include "fields.h"
#include "walk.c"

enum { FC_GROUPS = 32 };

/* Lines that are as good as one another to a line whose scale has a given remainder by 4. */
struct fc_groups {
    uint32_t count, largest, words;
    uint32_t value[FC_GROUPS], size[FC_GROUPS];
    uint64_t *mask; /* [group][words] */
};

struct fc_fields {
    const struct fc_field *field;
    struct fc_groups groups;
    uint32_t *base;      /* of each row: fc_base_of */
    uint64_t *in_row;    /* of each row: the hazards of its cells in the round */
    uint32_t *in_word;   /* the same of 64 columns */
    size_t *first_word;  /* of each tensor, in `in_word` */
    uint64_t *bits;      /* of one row's cells in the round */
};

static void fc_lay_out_fields_walk(
    struct fc_fields *x, const struct fc_order *order, const struct fc_field *fields,
    struct fc_room *room)
{
    uint64_t words = 0, most = 1;
    for (uint32_t t = 0; t < order->tensors; t++) {
        const struct fc_field *f = fields + t;
        words += (uint64_t)f->rows * f->row_words;
        most = f->row_words > most ? f->row_words : most;
        most = f->col_words > most ? f->col_words : most;
    }
    x->field = fields;
    x->groups.mask = fc_part(room, FC_GROUPS * most, sizeof *x->groups.mask);
    x->bits = fc_part(room, most, sizeof *x->bits);
    x->base = fc_part(room, order->rows, sizeof *x->base);
    x->in_row = fc_part(room, order->rows, sizeof *x->in_row);
    x->in_word = fc_part(room, words, sizeof *x->in_word);
    x->first_word = fc_part(room, order->tensors, sizeof *x->first_word);
}

/* Group lines by their values, as they look to one whose own value has this remainder by 4. */
FC_INLINE void fc_group(
    struct fc_groups *g, const uint32_t *values, uint32_t count, uint32_t remainder)
{
    uint8_t slot[256];
    uint32_t least = UINT32_MAX;
    for (uint32_t i = 0; i < count; i++)
        least = fc_least(least, values[i]);
    least &= ~3u;
    for (uint32_t i = 0; i < sizeof slot; i++)
        slot[i] = FC_GROUPS;
    g->count = g->largest = 0;
    g->words = (count + 63) / 64;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *own = slot + ((values[i] - least + remainder) >> 2 & 255);
        if (*own == FC_GROUPS) {
            *own = (uint8_t)g->count++;
            g->value[*own] = values[i];
            g->size[*own] = 0;
            fc_zero(g->mask + (size_t)*own * g->words, g->words * sizeof *g->mask);
        }
        g->size[*own]++;
        g->mask[(size_t)*own * g->words + i / 64] |= (uint64_t)1 << i % 64;
    }
    for (uint32_t i = 1; i < g->count; i++)
        g->largest = g->size[i] > g->size[g->largest] ? i : g->largest;
}

/* What the cells of a line weigh. All but the largest group are counted: that has what is left. */
FC_INLINE uint64_t fc_weigh_line(
    const struct fc_groups *g, const uint64_t *line, uint32_t cells, const uint32_t *table,
    const int wide)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < g->count; i++) {
        const uint64_t *mask = g->mask + (size_t)i * g->words;
        uint32_t count = 0;
        if (i == g->largest)
            continue;
        FC_UNROLL
        for (uint32_t w = 0; w < g->words; w++)
            count += fc_popcount(line[w] & mask[w], wide);
        sum += (uint64_t)count * table[g->value[i]];
        cells -= count;
    }
    return sum + (g->count ? (uint64_t)cells * table[g->value[g->largest]] : 0);
}

/* The same of a row in a round, word by word, which is kept; counts the cells if they are to be. */
FC_INLINE uint64_t fc_predict_row(
    struct fc_scales *s, const struct fc_fields *x, uint32_t round, uint32_t base,
    uint32_t *restrict in_word, const int wide)
{
    const struct fc_groups *g = &x->groups;
    const uint64_t *restrict bits = x->bits;
    const uint32_t largest = s->hazard[base + g->value[g->largest]];
    uint32_t left = 0;
    uint64_t sum = 0;
    for (uint32_t w = 0; w < g->words; w++) {
        const uint32_t count = fc_popcount(bits[w], wide);
        in_word[w] = count * largest;
        left += count;
    }
    for (uint32_t i = 0; i < g->count; i++) {
        const uint64_t *restrict mask = g->mask + (size_t)i * g->words;
        const uint32_t more = s->hazard[base + g->value[i]] - largest; /* modulo 2**32 */
        uint32_t count = 0;
        if (i == g->largest)
            continue;
        FC_UNROLL
        for (uint32_t w = 0; w < g->words; w++) {
            const uint32_t own = fc_popcount(bits[w] & mask[w], wide);
            in_word[w] += own * more;
            count += own;
        }
        if (round < FC_ROUNDS - 1)
            s->count[0][base + g->value[i]] += count;
        left -= count;
    }
    if (round < FC_ROUNDS - 1)
        s->count[0][base + g->value[g->largest]] += left;
    for (uint32_t w = 0; w < g->words; w++)
        sum += in_word[w];
    return sum;
}

FC_INLINE void fc_find_bases(struct fc_fields *x, const struct fc_scales *s, uint32_t t)
{
    const uint32_t *tensor = s->order->tensor;
    for (uint32_t r = tensor[t]; r < tensor[t + 1]; r++)
        x->base[r] = fc_base_of(s, t, r);
}

/* Predict the hazards of the cells of a round; whether it has any. */
FC_INLINE int fc_predict_fields(struct fc_fields *x, struct fc_scales *s, uint32_t round, const int wide)
{
    const struct fc_order *order = s->order;
    uint64_t all = 0;
    size_t word = 0;
    fc_find_hazards(s);
    fc_zero(s->count, sizeof s->count);
    for (uint32_t t = 0; t < order->tensors; t++) {
        const struct fc_field *f = x->field + t;
        const uint32_t first = order->tensor[t];
        x->first_word[t] = word;
        fc_find_bases(x, s, t);
        for (uint32_t remainder = 0; remainder < 4; remainder++)
            for (uint32_t r = 0, grouped = 0; r < f->rows; r++) {
                if ((x->base[first + r] & 3) != remainder)
                    continue;
                if (!grouped++)
                    fc_group(&x->groups, s->shift + order->column[t], f->cols, remainder);
                for (uint32_t w = 0; w < f->row_words; w++)
                    x->bits[w] = fc_round_bits(f, round, r, w);
                x->in_row[first + r] =
                    fc_predict_row(s, x, round, x->base[first + r],
                                   x->in_word + word + (size_t)r * f->row_words, wide);
                all |= x->in_row[first + r];
            }
        word += (size_t)f->rows * f->row_words;
    }
    return all != 0;
}

/* What the scales expect of a tensor's rows; all together. */
FC_INLINE uint64_t fc_expect_rows(
    struct fc_fields *x, struct fc_scales *s, uint32_t t, uint32_t round, const int wide)
{
    const struct fc_field *f = x->field + t;
    const uint32_t first = s->order->tensor[t], map = round - FC_LISTED + 1;
    uint64_t expected = 0;
    fc_find_bases(x, s, t);
    for (uint32_t remainder = 0; remainder < 4; remainder++)
        for (uint32_t r = 0, grouped = 0; r < f->rows; r++) {
            const uint32_t base = x->base[first + r];
            if ((base & 3) != remainder)
                continue;
            if (!grouped++)
                fc_group(&x->groups, s->shift + s->order->column[t], f->cols, remainder);
            s->in_row[first + r] =
                fc_weigh_line(&x->groups, fc_map_row(f, map, r),
                              s->order->piece[first + r].ends[round], s->weight + base, wide);
            expected += s->in_row[first + r];
        }
    return expected;
}

FC_INLINE void fc_fit_columns(
    struct fc_fields *x, struct fc_scales *s, uint32_t t, uint32_t round, const int wide)
{
    const struct fc_field *f = x->field + t;
    const uint32_t first = s->order->tensor[t], map = round - FC_LISTED + 1;
    uint32_t *shift = s->shift + s->order->column[t];
    uint64_t *expected = s->in_column + s->order->column[t];
    fc_find_bases(x, s, t);
    for (uint32_t remainder = 0; remainder < 4; remainder++)
        for (uint32_t c = 0, grouped = 0; c < f->cols; c++) {
            if ((shift[c] & 3) != remainder)
                continue;
            if (!grouped++)
                fc_group(&x->groups, x->base + first, f->rows, remainder);
            expected[c] =
                fc_weigh_line(&x->groups, fc_map_col(f, map, c),
                              f->count[(size_t)map * f->cols + c], s->weight + shift[c], wide);
        }
    for (uint32_t c = 0; c < f->cols; c++) {
        struct fc_line *column = s->column + s->order->column[t] + c;
        fc_fit(column, expected[c], FC_LINE_PRIOR, FC_MOST_LINE);
        shift[c] = (uint32_t)(FC_MOST_LINE - column->scale);
    }
}

/* Refit the scales to all cells up to this round. */
FC_INLINE void fc_learn_fields(struct fc_fields *x, struct fc_scales *s, uint32_t round, const int wide)
{
    const uint32_t *tensor = s->order->tensor;
    fc_add_seen(s);
    for (uint32_t t = 0; t < s->order->tensors; t++) {
        if (tensor[t] == tensor[t + 1])
            continue;
        const uint64_t expected = fc_expect_rows(x, s, t, round, wide);
        if (fc_fit(s->tensor + t, expected, FC_TENSOR_PRIOR, FC_MOST_TENSOR))
            fc_expect_rows(x, s, t, round, wide);
        for (uint32_t r = tensor[t]; r < tensor[t + 1]; r++)
            fc_fit(s->row + r, s->in_row[r], FC_LINE_PRIOR, FC_MOST_LINE);
        fc_fit_columns(x, s, t, round, wide);
    }
}

/* A place between two cells: before this column of this row. */
struct fc_cursor {
    uint32_t tensor, row, col; /* the row's number through all tensors */
};

FC_INLINE int fc_is_before(const struct fc_cursor *at, uint32_t row, uint32_t col)
{
    return at->row < row || (at->row == row && at->col < col);
}

/* To the beginning of the next row that there is. */
FC_INLINE void fc_next_row(struct fc_cursor *at, const struct fc_order *order)
{
    at->row++;
    at->col = 0;
    while (at->row < order->rows && at->row >= order->tensor[at->tensor + 1])
        at->tensor++;
}

/* The cells of the round in this word of the cursor's row, from the cursor on. */
FC_INLINE uint64_t fc_bits_at(
    const struct fc_fields *x, const struct fc_order *order, const struct fc_cursor *at,
    uint32_t round)
{
    const uint64_t bits = fc_round_bits(
        x->field + at->tensor, round, at->row - order->tensor[at->tensor], at->col / 64);
    return bits & UINT64_MAX << at->col % 64;
}

FC_INLINE uint32_t fc_lowest(uint64_t bits)
{
#if defined(__GNUC__)
    return (uint32_t)__builtin_ctzll(bits);
#else
    return fc_bits_of(bits & (0 - bits)) - 1;
#endif
}

FC_INLINE uint32_t fc_hazard_at(
    const struct fc_fields *x, const struct fc_scales *s, const struct fc_cursor *at)
{
    return s->hazard[x->base[at->row] + s->shift[s->order->column[at->tensor] + at->col]];
}

/* Go to the next cell of the round; whether there is one. */
FC_INLINE int fc_next_cell(
    const struct fc_fields *x, const struct fc_scales *s, struct fc_cursor *at, uint32_t round)
{
    while (at->row < s->order->rows) {
        const struct fc_field *f = x->field + at->tensor;
        if (at->col == 0 && x->in_row[at->row] == 0) {
            fc_next_row(at, s->order);
            continue;
        }
        while (at->col < f->cols) {
            const uint64_t bits = fc_bits_at(x, s->order, at, round);
            if (bits) {
                at->col = (at->col & ~63u) + fc_lowest(bits);
                return 1;
            }
            at->col = (at->col | 63) + 1;
        }
        fc_next_row(at, s->order);
    }
    return 0;
}

/*
 * Pass cells as long as their hazards are within a limit, and before a row and column; what they
 * sum to.
 */
FC_INLINE uint64_t fc_pass(
    const struct fc_fields *x, const struct fc_scales *s, struct fc_cursor *at, uint32_t round,
    uint64_t limit, uint32_t row, uint32_t col)
{
    uint64_t sum = 0;
    while (at->row < s->order->rows) {
        const struct fc_field *f = x->field + at->tensor;
        const uint32_t own = at->row - s->order->tensor[at->tensor];
        const uint32_t *in_word =
            x->in_word + x->first_word[at->tensor] + (size_t)own * f->row_words;
        if (at->col == 0 && at->row < row && sum + x->in_row[at->row] <= limit) {
            sum += x->in_row[at->row];
            fc_next_row(at, s->order);
            continue;
        }
        while (at->col < f->cols) {
            const uint32_t end = (at->col | 63) + 1, word = at->col / 64;
            if (at->col % 64 == 0 && (at->row < row || end <= col) &&
                sum + in_word[word] <= limit) {
                sum += in_word[word];
                at->col = end;
                continue;
            }
            uint64_t bits = fc_bits_at(x, s->order, at, round);
            for (; bits; bits &= bits - 1) {
                at->col = 64 * word + fc_lowest(bits);
                const uint32_t hazard = fc_hazard_at(x, s, at);
                if (sum + hazard > limit || !fc_is_before(at, row, col))
                    return sum;
                sum += hazard;
            }
            at->col = end;
        }
        fc_next_row(at, s->order);
    }
    return sum;
}

/* Code one round; its hits are those from `hits` on. Returns where they end. */
FC_INLINE uint32_t fc_walk_fields(
    struct fc_fields *x, struct fc_walk *w, struct fc_coder *c, uint32_t round, uint32_t hits,
    const int encode)
{
    const struct fc_scales *s = w->scales;
    struct fc_cursor at = {0, UINT32_MAX, 0};
    fc_next_row(&at, s->order); /* the first tensor may have none */
    while (!c->status && fc_next_cell(x, s, &at, round)) {
        const struct fc_cursor start = at;
        const uint32_t first = fc_hazard_at(x, s, &at);
        uint64_t all = fc_pass(x, s, &at, round, FC_BLOCK, UINT32_MAX, 0);
        if (all == 0) {
            all = first;
            at.col++;
        }
        uint32_t hazard = (uint32_t)all;
        struct fc_hit *hit = w->hits + hits;
        const int here = encode && hits < w->ends[round] &&
            (hit->piece < at.row || (hit->piece == at.row && hit->cell < at.col));
        if (!fc_chance(c, fc_hit_chance(hazard), (uint32_t)here, encode))
            continue;
        at = start;
        if (hazard != first) {
            const uint32_t unit = c->range / hazard;
            const uint32_t target = encode ? 0 : c->code / unit;
            if (target >= hazard) {
                fc_fail(c, FC_CORRUPT);
                break;
            }
            const uint64_t below =
                encode ? fc_pass(x, s, &at, round, UINT64_MAX, hit->piece, hit->cell)
                       : fc_pass(x, s, &at, round, target, UINT32_MAX, 0);
            hazard = fc_hazard_at(x, s, &at);
            if (encode)
                fc_raise(c, unit * (uint32_t)below);
            else
                c->code -= unit * (uint32_t)below;
            c->range = unit * hazard;
            fc_settle(c, encode);
        }
        if (!encode) {
            if (hits == FC_MOST_HITS)
                fc_fail(c, FC_MANY);
            if (c->status)
                break;
            hit->piece = at.row;
            hit->cell = at.col;
        }
        hit->value = fc_value(w, c, at.row, hazard, encode ? hit->value : 0, encode);
        hits++;
        at.col++;
    }
    return hits;
}

/* Code the rounds that are not listed. */
FC_INLINE void fc_walk_later(
    struct fc_fields *x, struct fc_walk *w, struct fc_coder *c, const int encode,
    const int wide)
{
    for (uint32_t round = FC_LISTED, hits = w->ends[FC_LISTED - 1]; round < FC_ROUNDS; round++) {
        const uint32_t first = hits;
        const int any = fc_predict_fields(x, w->scales, round, wide);
        hits = fc_walk_fields(x, w, c, round, hits, encode);
        if (c->status)
            return;
        w->ends[round] = hits;
        if (any && round < FC_ROUNDS - 1) {
            fc_count_hits(w, first, hits);
            fc_learn_fields(x, w->scales, round, wide);
        }
    }
}

#if defined(FC_AVX2)
/* A machine with vectors of 256 bits counts bits in one instruction. */
__attribute__((target("avx2,bmi"))) static void fc_walk_later_wide(
    struct fc_fields *x, struct fc_walk *w, struct fc_coder *c, int encode)
{
    if (encode)
        fc_walk_later(x, w, c, 1, 1);
    else
        fc_walk_later(x, w, c, 0, 1);
}
#endif

static void fc_walk_later_plain(
    struct fc_fields *x, struct fc_walk *w, struct fc_coder *c, int encode)
{
    if (encode)
        fc_walk_later(x, w, c, 1, 0);
    else
        fc_walk_later(x, w, c, 0, 0);
}
