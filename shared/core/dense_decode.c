/* Decodes the dense tensors of a frame. */
#include "dense.h"

enum {
    FC_BUCKET = 0x0F, /* in `kind`, a nonzero's bucket of chances */
    FC_MINUS = 0x80,
    FC_NO_SIGN = 0x40, /* the sign comes last, with all such of the frame */
};

/* Small, so that a pass can have it in registers: the compiler knows of a copy what is not shared. */
struct fc_lanes {
    const uint8_t *in;
    size_t at;       /* words are read downwards from here */
    uint32_t *state; /* of each lane */
    uint32_t mask;   /* lanes less 1 */
    int ended;       /* whether words were missing */
};

struct fc_dense {
    struct fc_coder *scalar;
    struct fc_tables tables;
    struct fc_lanes lanes;
    uint32_t raw; /* nonzeros whose signs come last */
    uint8_t *row_class, *sign_class, *col_class;
    uint32_t *live, *row_end; /* columns that are not empty; where a row's nonzeros end */
    uint16_t *lines;          /* by row class: the chance of each of those columns */
    uint32_t *raws;           /* the cells of those nonzeros */
    /* Of the nonzeros of one tensor. */
    uint32_t *place;
    uint8_t *kind;
};

FC_INLINE uint32_t fc_lane_word(struct fc_lanes *lanes)
{
    if (lanes->at < 3) { /* the first byte is the flags */
        lanes->ended = 1;
        return 0;
    }
    lanes->at -= 2;
    return lanes->in[lanes->at] | (uint32_t)lanes->in[lanes->at + 1] << 8;
}

/* Decision `index` of a pass, which is 1 with the chance p / 4096. */
FC_INLINE uint32_t fc_pop(struct fc_lanes *lanes, uint32_t index, uint32_t p)
{
    uint32_t *state = lanes->state + (index & lanes->mask);
    const uint32_t slot = *state & 4095, high = *state >> FC_LANE_SCALE, one = slot < p;
    /* Without a branch: nobody can predict what is coded well. */
    const uint32_t hit = p * high + slot, miss = *state - p * high - p;
    uint32_t next = miss + ((hit - miss) & (0u - one));
    if (next < 1 << 16)
        next = next << 16 | fc_lane_word(lanes);
    *state = next;
    return one;
}

/* Let a pass's copy of the lanes be the lanes. */
FC_INLINE void fc_keep(struct fc_dense *d, struct fc_lanes lanes)
{
    d->lanes = lanes;
    if (lanes.ended)
        fc_fail(d->scalar, FC_ENDED);
}

/* A list of values of 4 bits, the first bit first. */
static void fc_classes(struct fc_dense *d, uint8_t *values, uint32_t count)
{
    fc_zero(values, count);
    for (uint32_t depth = 0; depth < 4; depth++) {
        uint32_t chances[8];
        for (uint32_t i = 0; i < 1u << depth; i++)
            chances[i] =
                FC_LEVELS[fc_level(d->scalar, &d->tables, FC_TREE, FC_EVEN, 0, 0)];
        struct fc_lanes lanes = d->lanes;
        for (uint32_t i = 0; i < count; i++)
            values[i] = (uint8_t)(values[i] << 1 | fc_pop(&lanes, i, chances[values[i]]));
        fc_keep(d, lanes);
    }
}

/* The chance of each column that is not empty, in rows of a class. */
static void fc_make_line(
    const struct fc_dense *d, uint32_t width, const uint8_t *level, uint16_t *chances)
{
    for (uint32_t k = 0; k < width; k++)
        chances[k] = FC_LEVELS[level[d->col_class[d->live[k]]]];
}

static uint32_t fc_live_columns(struct fc_dense *d, uint32_t cols)
{
    uint32_t live = 0;
    for (uint32_t c = 0; c < cols; c++) {
        d->live[live] = c;
        live += d->col_class[c] != 0;
    }
    return live;
}

/* Which cells of the rows and columns that are not empty are nonzero; how many. */
static uint32_t fc_decode_cells(
    struct fc_dense *d, uint32_t rows, uint32_t cols, uint8_t levels[16][16])
{
    const uint32_t width = fc_live_columns(d, cols);
    uint32_t count = 0, index = 0, made = 0, *restrict place = d->place;
    struct fc_lanes lanes = d->lanes;
    for (uint32_t r = 0, at = 0; r < rows; r++) {
        const uint32_t class = d->row_class[r], first = count;
        uint16_t *restrict chances = d->lines + (size_t)class * cols;
        if (class == 0)
            continue;
        if (!(made >> class & 1))
            fc_make_line(d, width, levels[class], chances);
        made |= 1u << class;
        for (uint32_t k = 0; k < width; k++) {
            place[count] = k;
            count += fc_pop(&lanes, index++, chances[k]);
        }
        for (uint32_t i = first; i < count; i++) {
            const uint32_t c = d->live[place[i]];
            d->kind[i] = levels[class][d->col_class[c]] >> 2;
            place[i] = r * cols + c;
        }
        d->row_end[at++] = count;
    }
    fc_keep(d, lanes);
    return count;
}

static void fc_decode_signs(struct fc_dense *d, uint32_t live_rows, uint32_t first)
{
    struct fc_lanes lanes = d->lanes;
    for (uint32_t row = 0, n = 0, index = 0; row < live_rows; row++) {
        const uint32_t class = d->sign_class[row], end = d->row_end[row];
        if (n < end && class >= FC_SIGN_CLASSES)
            fc_fail(d->scalar, FC_CORRUPT);
        if (d->scalar->status)
            return;
        if (class == FC_RAW_SIGN)
            for (; n < end; n++) {
                d->kind[n] |= FC_NO_SIGN;
                d->raws[d->raw++] = first + d->place[n];
            }
        else
            for (; n < end; n++)
                d->kind[n] |= (uint8_t)(fc_pop(&lanes, index++, FC_SIGN_LEVELS[class]) << 7);
    }
    fc_keep(d, lanes);
}

/* What is beyond a size of 14, by passes over exponents and bits; `kind` then has the exponent. */
static void fc_decode_excess(struct fc_dense *d, int32_t *symbols, uint32_t count)
{
    uint32_t exponent = 0;
    for (uint32_t i = 0; i < count; i++) {
        symbols[d->place[i]] = 1;
        d->kind[i] &= (uint8_t)~(FC_BUCKET | 0x30);
    }
    /* Exponents are up to 31: five bits, over which the sign's two stay. */
    for (uint32_t more = count; more; exponent++) {
        const uint32_t level = fc_level(d->scalar, &d->tables, FC_TAIL, FC_EVEN, 0, 0);
        struct fc_lanes lanes = d->lanes;
        uint32_t index = 0;
        more = 0;
        for (uint32_t i = 0; i < count; i++)
            if ((d->kind[i] & 0x3Fu) == exponent) {
                const uint32_t one = fc_pop(&lanes, index++, FC_LEVELS[level]);
                d->kind[i] = (uint8_t)(d->kind[i] + one);
                more += one;
            }
        fc_keep(d, lanes);
        if (more && exponent == 31)
            fc_fail(d->scalar, FC_LARGE);
        if (d->scalar->status)
            return;
    }
    struct fc_lanes lanes = d->lanes;
    for (uint32_t shift = exponent; shift-- > 0;)
        for (uint32_t i = 0, index = 0; i < count; i++)
            if ((d->kind[i] & 0x3Fu) > shift) {
                int32_t *symbol = symbols + d->place[i];
                const uint32_t one = fc_pop(&lanes, index++, 2048);
                *symbol = (int32_t)((uint32_t)*symbol << 1 | one);
            }
    fc_keep(d, lanes);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t *symbol = (uint32_t *)symbols + d->place[i];
        const uint64_t size = (uint64_t)*symbol + FC_UNARY;
        const uint32_t minus = (d->kind[i] & FC_MINUS) != 0;
        if (size > 0x7FFFFFFFu + (uint64_t)(minus || d->kind[i] & FC_NO_SIGN))
            fc_fail(d->scalar, FC_LARGE);
        *symbol = minus ? 0u - (uint32_t)size : (uint32_t)size;
    }
}

/* Sizes: in unary up to 14; those that go on are kept at the front of the lists. */
static void fc_decode_sizes(struct fc_dense *d, int32_t *symbols, uint32_t count)
{
    for (int32_t size = 1; size <= FC_UNARY; size++) {
        uint32_t chances[16] = {0}, last = FC_EVEN, left = 0;
        const int more = (int)fc_bit(d->scalar, d->tables.flags[size], 0, 0);
        if (!more || d->scalar->status) {
            for (uint32_t i = 0; i < count; i++)
                symbols[d->place[i]] = d->kind[i] & FC_MINUS ? -size : size;
            return;
        }
        for (uint32_t i = 0; i < count; i++)
            chances[d->kind[i] & FC_BUCKET] = 1;
        for (uint32_t b = 0; b < 16; b++)
            if (chances[b]) {
                last = fc_level(d->scalar, &d->tables, FC_MORE, last, 0, 0);
                chances[b] = FC_LEVELS[last];
            }
        struct fc_lanes lanes = d->lanes;
        for (uint32_t i = 0; i < count; i++) {
            const uint32_t place = d->place[i];
            const uint8_t kind = d->kind[i];
            symbols[place] = kind & FC_MINUS ? -size : size;
            d->place[left] = place;
            d->kind[left] = kind;
            left += fc_pop(&lanes, i, chances[kind & FC_BUCKET]);
        }
        fc_keep(d, lanes);
        if (d->scalar->status)
            return;
        count = left;
    }
    fc_decode_excess(d, symbols, count);
}

/* A dense tensor; `symbols` are the frame's, of which `first` is its first. */
static void fc_decode_dense(
    struct fc_dense *d, const struct fc_shape *shape, int32_t *symbols, uint32_t first)
{
    uint8_t levels[16][16] = {{0}}, row_used[16] = {0}, col_used[16] = {0};
    uint32_t live_rows = 0;
    fc_classes(d, d->row_class, shape->rows);
    fc_classes(d, d->col_class, shape->cols);
    for (uint32_t r = 0; r < shape->rows; r++) {
        row_used[d->row_class[r]] = 1;
        live_rows += d->row_class[r] != 0;
    }
    for (uint32_t c = 0; c < shape->cols; c++)
        col_used[d->col_class[c]] = 1;
    fc_classes(d, d->sign_class, live_rows);
    fc_pair_levels(d->scalar, &d->tables, row_used, col_used, levels, 0);
    if (d->scalar->status)
        return;
    const uint32_t count = fc_decode_cells(d, shape->rows, shape->cols, levels);
    if (!d->scalar->status)
        fc_decode_signs(d, live_rows, first);
    if (!d->scalar->status)
        fc_decode_sizes(d, symbols + first, count);
}

/* Give a symbol its sign, without a branch; whether that cannot be. */
FC_INLINE uint32_t fc_sign(int32_t *symbol, uint32_t minus)
{
    const uint32_t size = (uint32_t)*symbol;
    *symbol = (int32_t)((size ^ (0u - minus)) + minus);
    return (size >> 31) & ~minus; /* 2**31 needs a minus */
}

/* The signs that come last: first those that the states are filled with. */
static void fc_decode_raw_signs(struct fc_dense *d, int32_t *symbols)
{
    struct fc_lanes lanes = d->lanes;
    const uint32_t room = 16 * (lanes.mask + 1), filled = fc_least(d->raw, room);
    uint32_t large = 0, other = 0;
    for (uint32_t i = filled; i < d->raw; i++)
        large |= fc_sign(symbols + d->raws[i], fc_pop(&lanes, i - filled, 2048));
    fc_keep(d, lanes);
    for (uint32_t lane = 0; lane <= lanes.mask; lane++)
        other |= lanes.state[lane] >> 16 != 1;
    for (uint32_t i = 0; i < filled; i++)
        large |= fc_sign(symbols + d->raws[i], lanes.state[i >> 4] >> (i & 15) & 1);
    for (uint32_t i = filled; i < room; i++)
        other |= lanes.state[i >> 4] >> (i & 15) & 1;
    if (large || other)
        fc_fail(d->scalar, large ? FC_LARGE : FC_CORRUPT);
}

static void fc_lay_out_dense(struct fc_dense *d, const struct fc_grid *grid, struct fc_room *room)
{
    uint64_t cells = 0, rows = 0, cols = 0, most = 0;
    for (uint32_t t = 0; t < grid->tensors; t++) {
        const uint64_t height = grid->shapes[t].rows, width = grid->shapes[t].cols;
        rows = height > rows ? height : rows;
        cols = width > cols ? width : cols;
        cells += height * width;
        most = height * width > most ? height * width : most;
    }
    d->lanes.state = fc_part(room, 1 << FC_MOST_LOG_LANES, sizeof *d->lanes.state);
    d->row_class = fc_part(room, rows, 1);
    d->sign_class = fc_part(room, rows, 1);
    d->col_class = fc_part(room, cols, 1);
    d->live = fc_part(room, cols + 1, sizeof *d->live);
    d->row_end = fc_part(room, rows, sizeof *d->row_end);
    d->lines = fc_part(room, 16 * (cols + 1), sizeof *d->lines);
    d->place = fc_part(room, most + 1, sizeof *d->place);
    d->kind = fc_part(room, most + 1, 1);
    d->raws = fc_part(room, cells, sizeof *d->raws);
}

static void fc_start_lanes(struct fc_dense *d, struct fc_coder *scalar, uint32_t log_lanes)
{
    d->scalar = scalar;
    d->raw = 0;
    fc_start_tables(&d->tables);
    struct fc_lanes lanes = {
        scalar->in, scalar->size, d->lanes.state, (1u << log_lanes) - 1, 0,
    };
    for (uint32_t lane = 0; lane <= lanes.mask; lane++) {
        lanes.state[lane] = fc_lane_word(&lanes);
        lanes.state[lane] |= fc_lane_word(&lanes) << 16;
    }
    fc_keep(d, lanes);
}

/* Decode which tensors are dense, and those; the scalar stream is left where the others begin. */
static void fc_decode_all_dense(
    struct fc_dense *d, const struct fc_grid *grid, uint32_t log_lanes, int32_t *symbols,
    uint8_t *dense)
{
    fc_counts map = {2, 2};
    uint64_t cells = 0;
    for (uint32_t t = 0; t < grid->tensors; t++) {
        const uint64_t own = (uint64_t)grid->shapes[t].rows * grid->shapes[t].cols;
        dense[t] = (uint8_t)fc_bit(d->scalar, map, 0, 0);
        if (dense[t] && own == 0)
            fc_fail(d->scalar, FC_CORRUPT); /* it may have long lines all the same */
        cells += dense[t] ? own : 0;
    }
    if (log_lanes < fc_least_log_lanes(cells))
        fc_fail(d->scalar, FC_CORRUPT);
    for (uint32_t t = 0, first = 0; t < grid->tensors && !d->scalar->status; t++) {
        if (dense[t])
            fc_decode_dense(d, grid->shapes + t, symbols, first);
        first += grid->shapes[t].rows * grid->shapes[t].cols;
    }
    if (!d->scalar->status)
        fc_decode_raw_signs(d, symbols);
}
