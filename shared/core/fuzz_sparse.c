/*
 * Mutates frames of nonzeros row by row and of Golomb-Rice gaps and decodes them, under sanitizers:
 *
 *     cc -std=c11 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover -o fuzz fuzz_sparse.c
 *     ./fuzz 1000000 [SEED]
 *
 * What was made must come back. Every buffer is of the exact size that the core asks for, so that a
 * step beyond it is found. What was mutated must be refused, or decode to rising places.
 */
#include "all.c"
#include "fuzz.h"

enum { TENSORS = 3, MOST_CELLS = 20000, MOST_FRAME = 1 << 17, MUTATIONS = 50 };

static uint32_t draw_shapes(struct fc_shape *shapes)
{
    uint32_t cells = 0;
    for (uint32_t t = 0; t < TENSORS; t++) {
        shapes[t].rows = below(below(2) ? 60 : 3);
        shapes[t].cols = below(30) ? below(60) : 4000 + below(500);
        if (cells + shapes[t].rows * shapes[t].cols > MOST_CELLS)
            shapes[t].rows = 0;
        cells += shapes[t].rows * shapes[t].cols;
    }
    return cells;
}

/* Symbols at rising places; how many. */
static uint32_t draw_symbols(uint32_t cells, uint32_t large, int32_t *symbols)
{
    static const int32_t extremes[] = {INT32_MIN, INT32_MAX, -2, 3, 70000};
    const uint32_t odds = 1 + below(below(2) ? 3 : 200);
    uint32_t count = 0;
    for (uint32_t i = 0; i < cells; i++) {
        symbols[i] = below(odds) ? 0 : below(2) ? 1 : -1;
        if (symbols[i] && large && !below(4))
            symbols[i] = extremes[below(5)];
        count += symbols[i] != 0;
    }
    return count;
}

static void mutate(uint8_t *data, size_t *size, size_t from)
{
    for (uint32_t n = below(4); n-- && *size > from;)
        data[from + below((uint32_t)(*size - from))] ^= (uint8_t)(1u << below(8));
    if (!below(5))
        *size -= below((uint32_t)*size);
    for (uint32_t n = below(5) ? 0 : below(9); n--;)
        data[(*size)++] = (uint8_t)below(256);
}

static void check_rising(const struct fc_nonzeros *found, uint32_t cells)
{
    for (uint32_t n = 0; n < found->count; n++)
        if (found->places[n] >= cells || (n && found->places[n] <= found->places[n - 1]))
            fail("places do not rise");
}

static void try_rows(const struct fc_shape *shapes, uint32_t cells, int32_t *symbols)
{
    const uint32_t count = draw_symbols(cells, below(2), symbols), most = count + below(3);
    struct fc_nonzeros known = {exactly(4 * count), exactly(4 * count), count, count};
    struct fc_nonzeros found = {exactly(4 * most), exactly(4 * most), most, 0};
    uint8_t *room = exactly(fc_rows_room()), *frame = exactly(MOST_FRAME), *copy;
    size_t size, short_size;
    for (uint32_t i = 0, n = 0; i < cells; i++) {
        if (symbols[i]) {
            known.places[n] = i;
            known.values[n++] = symbols[i];
        }
    }
    if (fc_rows_encode(shapes, TENSORS, &known, frame, MOST_FRAME, &size, room, fc_rows_room()))
        fail("encoding fails");
    copy = exactly(size - 1);
    if (fc_rows_encode(shapes, TENSORS, &known, copy, size - 1, &short_size, room, fc_rows_room()) != FC_FULL)
        fail("a short output is not seen");
    free(copy);
    for (uint32_t n = 0; n < MUTATIONS; n++) {
        size_t length = size;
        uint8_t *longer = exactly(size + 9), *data;
        memcpy(longer, frame, size);
        if (n)
            mutate(longer, &length, below(4) ? 1 : 0);
        data = exactly(length);
        memcpy(data, longer, length);
        if (fc_rows_decode(shapes, TENSORS, data, length, &found, room, fc_rows_room())) {
            refused++;
            if (n == 0)
                fail("what was made is refused");
        } else {
            taken++;
            check_rising(&found, cells);
            if (n == 0 && (found.count != count || memcmp(found.places, known.places, 4 * count) ||
                           memcmp(found.values, known.values, 4 * count)))
                fail("something else comes back");
        }
        free(data);
        free(longer);
    }
    free(known.places), free(known.values), free(found.places), free(found.values);
    free(room), free(frame);
}

static void try_gaps(uint32_t cells, int32_t *symbols)
{
    const uint32_t count = draw_symbols(cells, 0, symbols);
    int64_t *places = exactly(8 * count), *found = exactly(8 * count);
    uint8_t *negative = exactly(count), *stream;
    float *signs = exactly(4 * count);
    size_t hits = 0;
    uint32_t rice;
    uint64_t unary;
    if (fc_golomb_find(symbols, cells, 0, places, negative, count, &hits) || hits != count)
        fail("nonzeros are not found");
    if (fc_rice(places, count, 0, &rice, &unary))
        fail("places are refused");
    const size_t size = (size_t)(unary + count * ((uint64_t)rice + 2) + 7) / 8;
    stream = exactly(size);
    if (fc_golomb_write(places, negative, count, rice, unary, stream, size))
        fail("writing fails");
    for (uint32_t n = 0; n < MUTATIONS; n++) {
        size_t length = size;
        uint8_t *longer = exactly(size + 9), *data;
        const uint32_t bits = n && !below(9) ? below(50) : rice;
        memcpy(longer, stream, size);
        if (n && size)
            mutate(longer, &length, 0);
        data = exactly(length);
        memcpy(data, longer, length);
        if (fc_golomb_decode(data, length, count, bits, cells, found, signs)) {
            refused++;
            if (n == 0)
                fail("gaps that were made are refused");
        } else {
            taken++;
            for (uint32_t i = 0; i < count; i++)
                if (found[i] >= cells || (i && found[i] <= found[i - 1]) || (signs[i] != 1 && signs[i] != -1))
                    fail("gaps do not rise");
            if (n == 0 && memcmp(found, places, 8 * count))
                fail("other places come back");
        }
        free(data);
        free(longer);
    }
    free(places), free(found), free(negative), free(signs), free(stream);
}

int main(int count, char **arguments)
{
    const unsigned long frames = count > 1 ? strtoul(arguments[1], NULL, 10) : 100000;
    state = count > 2 ? strtoul(arguments[2], NULL, 10) : 1;
    static int32_t symbols[MOST_CELLS];
    while (refused + taken < frames) {
        struct fc_shape shapes[TENSORS];
        const uint32_t cells = draw_shapes(shapes);
        try_rows(shapes, cells, symbols);
        try_gaps(cells, symbols);
    }
    printf("%lu frames refused, %lu decoded\n", refused, taken);
    return 0;
}
