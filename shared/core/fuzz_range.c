/*
 * Mutates frames of the range coder and decodes them, under sanitizers:
 *
 *     cc -std=c11 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover -o fuzz fuzz_range.c
 *     ./fuzz 1000000 [SEED]
 *
 * Frames are made of random tensors, scattered, dense or both, with thresholds and without, and
 * must decode to what they were made of. Every buffer is of the exact size that the core asks for,
 * so that a step beyond it is found. A mutated frame must be refused, or decode to rising places.
 */
#include "all.c"
#include "fuzz.h"

enum { MOST_TENSORS = 4, MUTATIONS = 100 };

static unsigned long sound, made;

struct sample {
    struct fc_shape shapes[MOST_TENSORS];
    struct fc_grid grid;
    uint8_t dense[MOST_TENSORS];
    const int32_t *symbols[MOST_TENSORS];
    int32_t *all;
    uint32_t cells, scattered, any_dense;
    uint8_t *frame;
    size_t size;
};

static int32_t draw_symbol(uint32_t odds)
{
    static const int32_t extremes[] = {INT32_MIN, INT32_MAX, 15, -16, 14, -70000, 1 << 20};
    if (below(100) >= odds)
        return 0;
    if (below(30) == 0)
        return extremes[below(sizeof extremes / sizeof *extremes)];
    return (below(2) ? 1 : -1) * (int32_t)(1 + below(1 + below(8)));
}

static void draw_tensors(struct sample *s)
{
    const uint32_t lanes = below(2);
    memset(s, 0, sizeof *s);
    s->grid.shapes = s->shapes;
    s->grid.tensors = below(MOST_TENSORS + 1);
    s->grid.seed = draw();
    s->grid.hinted = below(2);
    s->grid.machine = below(2) ? fc_machine() : 0;
    for (uint32_t t = 0; t < s->grid.tensors; t++) {
        s->shapes[t].rows = below(below(2) ? 40 : 4);
        s->shapes[t].cols = below(200) ? below(40) : 33000;
        const uint32_t cells = s->shapes[t].rows * s->shapes[t].cols;
        s->dense[t] = (uint8_t)(lanes && cells && below(2)); /* no encoder marks an empty one */
        s->any_dense |= s->dense[t];
        s->cells += cells;
    }
    s->all = exactly(s->cells * sizeof *s->all);
    for (uint32_t t = 0, at = 0; t < s->grid.tensors; t++) {
        const uint32_t cells = s->shapes[t].rows * s->shapes[t].cols, odds = below(60);
        s->symbols[t] = s->all + at;
        for (uint32_t i = 0; i < cells; i++, at++) {
            s->all[at] = draw_symbol(cells > 2000 ? below(2) : odds);
            s->scattered += s->all[at] && !s->dense[t];
        }
    }
}

static void encode_scattered(struct sample *s)
{
    const size_t size = fc_encode_room(&s->grid, NULL, NULL, s->scattered);
    void *room = exactly(size);
    size_t most = 64 + 16 * (size_t)s->scattered, written;
    s->frame = exactly(most);
    if (fc_encode_scattered(&s->grid, NULL, s->symbols, s->scattered, s->frame, most, &s->size,
                            room, size))
        fail("encoding fails");
    most = below((uint32_t)s->size); /* too short: refused, and nothing beyond is written */
    uint8_t *less = exactly(most);
    if (fc_encode_scattered(&s->grid, NULL, s->symbols, s->scattered, less, most, &written, room,
                            size) != FC_FULL)
        fail("a short output is not seen");
    if (s->scattered &&
        fc_encode_scattered(&s->grid, NULL, s->symbols, s->scattered - 1, s->frame, s->size,
                            &written, room, size) != FC_MANY)
        fail("too many nonzeros are not seen");
    if (fc_encode_scattered(&s->grid, NULL, s->symbols, s->scattered, s->frame, s->size, &written,
                            room, size))
        fail("an exact output does not do");
    free(less);
    free(room);
}

/* Random classes and levels: worse than the encoder's, and as good to decode. */
static void encode_tensor(
    void *frame, const int32_t *symbols, const struct fc_shape *shape,
    struct fc_decisions *decisions)
{
    const uint32_t rows = shape->rows, cols = shape->cols, cells = rows * cols;
    struct fc_nonzeros found = {exactly(4 * (cells + 1)), exactly(4 * (cells + 1)), cells + 1, 0};
    struct fc_lines lines = {
        exactly(4 * rows), exactly(4 * cols), exactly(4 * rows),
        exactly(rows), exactly(cols), exactly(rows),
    };
    uint8_t trees[45], pairs[256], more[14 * 16 + 32];
    uint32_t counts[256], exponents[32];
    found.count = fc_dense_survey(symbols, rows, cols, &lines, &found);
    for (uint32_t r = 0; r < rows; r++) {
        lines.row_class[r] = (uint8_t)(lines.by_row[r] ? 1 + below(15) : 0);
        lines.sign_class[r] = (uint8_t)(below(2) ? FC_RAW_SIGN : below(15));
    }
    for (uint32_t c = 0; c < cols; c++)
        lines.col_class[c] = (uint8_t)(lines.by_col[c] ? 1 + below(15) : 0);
    for (uint32_t i = 0; i < 256; i++) {
        pairs[i] = (uint8_t)below(64);
        if (i < sizeof trees)
            trees[i] = (uint8_t)below(64);
        if (i < sizeof more)
            more[i] = (uint8_t)below(64);
    }
    const struct fc_levels levels = {trees, pairs, more};
    const uint32_t least = found.count > 16 * cols ? found.count : 16 * cols;
    uint8_t *spare = exactly(least > rows ? least : rows);
    fc_dense_pairs(rows, &lines, found.places, counts);
    const uint64_t bound = fc_dense_sizes(rows, &lines, &found, pairs, counts, exponents) +
        decisions->count + 4 * (2 * (uint64_t)rows + cols) + cells + found.count;
    decisions->codes = realloc(decisions->codes, bound + 1);
    decisions->raw = realloc(decisions->raw, decisions->raws + found.count + 1);
    decisions->live = realloc(decisions->live, 4 * ((size_t)cols + 1));
    if (fc_dense_code(frame, rows, cols, &lines, &found, &levels, decisions, spare))
        fail("coding a dense tensor fails");
    if (decisions->count > bound)
        fail("more decisions than were told");
    free(found.places), free(found.values), free(spare);
    free(lines.by_row), free(lines.by_col), free(lines.minus);
    free(lines.row_class), free(lines.col_class), free(lines.sign_class);
}

static void encode_dense(struct sample *s)
{
    const size_t scalar_size = 4096 * (MOST_TENSORS + 1) + 16 * (size_t)s->scattered;
    void *frame = exactly(fc_dense_frame_room());
    uint8_t *scalar = exactly(scalar_size);
    uint64_t ends[128 * MOST_TENSORS], cells = 0;
    struct fc_decisions decisions = {NULL, ends, NULL, NULL, 0, 0, 0};
    if (fc_dense_start(frame, s->dense, s->grid.tensors, scalar, scalar_size))
        fail("a dense frame does not begin");
    for (uint32_t t = 0; t < s->grid.tensors; t++)
        if (s->dense[t]) {
            encode_tensor(frame, s->symbols[t], s->shapes + t, &decisions);
            cells += s->shapes[t].rows * s->shapes[t].cols;
        }
    const size_t room_size = fc_encode_room(&s->grid, s->dense, NULL, s->scattered);
    void *room = exactly(room_size), *lanes_room = exactly(fc_lanes_room());
    size_t front, back;
    if (fc_dense_finish(frame, &s->grid, s->dense, s->symbols, s->scattered, &front, room,
                        room_size))
        fail("a dense frame does not end");
    const uint32_t least = fc_least_log_lanes(cells), log_lanes = least + below(12 - least);
    const size_t most = 3 * (size_t)decisions.count / 2 + decisions.raws / 8 + (4 << 11) + 16;
    uint8_t *lanes = exactly(most);
    if (fc_lanes_write(&decisions, log_lanes, lanes, most, &back, lanes_room))
        fail("lanes do not fit");
    s->size = front + back;
    s->frame = exactly(s->size);
    memcpy(s->frame, scalar, front);
    memcpy(s->frame + front, lanes, back);
    s->frame[0] = (uint8_t)(0x40 | log_lanes | (s->grid.hinted ? 0x80 : 0));
    free(frame), free(scalar), free(room), free(lanes_room), free(lanes);
    free(decisions.codes), free(decisions.raw), free(decisions.live);
}

static int decode_tensors(const struct sample *s, const uint8_t *data, size_t size, int32_t *all)
{
    const size_t room_size = fc_tensors_room(&s->grid);
    void *room = exactly(room_size);
    memset(all, 0, s->cells * sizeof *all);
    const int status = fc_decode_tensors(&s->grid, data, size, all, room, room_size);
    free(room);
    return status;
}

static int decode_nonzeros(
    const struct sample *s, const uint8_t *data, size_t size, const void *order, int32_t *all)
{
    const size_t room_size = fc_nonzeros_room(&s->grid, order, FC_MOST_HITS);
    const uint32_t most = fc_least(s->cells, FC_MOST_HITS);
    struct fc_nonzeros found = {exactly(4 * most), exactly(4 * most), most, 0};
    void *room = exactly(room_size);
    memset(all, 0, s->cells * sizeof *all);
    const int status = fc_decode_nonzeros(&s->grid, order, data, size, &found, room, room_size);
    for (uint32_t i = 0; !status && i < found.count; i++) {
        if (found.places[i] >= s->cells || (i && found.places[i] <= found.places[i - 1]))
            fail("places do not rise");
        all[found.places[i]] = found.values[i];
    }
    free(found.places), free(found.values), free(room);
    return status;
}

/* Both ways of decoding must say the same. */
static int decode(
    const struct sample *s, const uint8_t *data, size_t size, const void *order, int32_t *all)
{
    int32_t *other = exactly(s->cells * sizeof *other);
    const int status = decode_tensors(s, data, size, all);
    if (size && !(data[0] & 0x40)) {
        const int again = decode_nonzeros(s, data, size, order, other);
        if (again != status || (!status && memcmp(all, other, s->cells * sizeof *all)))
            fail("two ways of decoding differ");
    }
    free(other);
    return status;
}

static uint8_t *mutate(const struct sample *s, size_t *size)
{
    const uint32_t whole = (uint32_t)s->size;
    *size = below(4) ? whole : below(2) ? 1 + below(whole) : whole + below(6);
    uint8_t *copy = exactly(*size);
    memcpy(copy, s->frame, *size < whole ? *size : whole);
    for (uint32_t flips = below(5); flips; flips--)
        copy[below((uint32_t)*size)] ^= (uint8_t)(1 << below(8));
    if (below(8) == 0)
        for (size_t i = 1; i < *size; i++)
            copy[i] = (uint8_t)draw();
    return copy;
}

static void try_sample(struct sample *s)
{
    const size_t order_size = s->grid.hinted ? 0 : fc_order_room(&s->grid);
    void *order = order_size && below(2) ? exactly(order_size) : NULL, *spare = exactly(FC_SPARE);
    int32_t *all = exactly(s->cells * sizeof *all);
    if (order)
        fc_order_prepare(&s->grid, order, order_size, spare);
    if (decode(s, s->frame, s->size, order, all) ||
        memcmp(all, s->all, s->cells * sizeof *all))
        fail("a sound frame does not decode to what it was made of");
    sound++;
    for (uint32_t i = 0; i < MUTATIONS; i++, made++) {
        size_t size;
        uint8_t *copy = mutate(s, &size);
        if (decode(s, copy, size, order, all))
            refused++;
        else
            taken++;
        free(copy);
    }
    free(order), free(spare), free(all);
}

int main(int count, char **arguments)
{
    const unsigned long wanted = count > 1 ? strtoul(arguments[1], NULL, 10) : 10000;
    state = count > 2 ? strtoul(arguments[2], NULL, 10) : 1;
    while (made < wanted) {
        struct sample s;
        draw_tensors(&s);
        if (s.any_dense)
            encode_dense(&s);
        else
            encode_scattered(&s);
        try_sample(&s);
        free(s.frame), free(s.all);
    }
    printf("%lu sound frames, %lu mutated: %lu refused, %lu decoded to something\n", sound, made,
           refused, taken);
    return 0;
}
