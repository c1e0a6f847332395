/*
 * The range coder: parameters how many tensors, seed, whether thresholds are shared, and rows and
 * columns of each; input int32 symbols; output the frame. Frames with lanes are only decoded: their
 * encoder's choices are floats, and Python's.
 */
#include "check.h"

enum { LANES = 0x40 };

static const int32_t **pointers(
    const struct fc_grid *grid, const int32_t *symbols, struct arena *arena)
{
    const int32_t **each = take(arena, grid->tensors * sizeof *each);
    for (uint32_t t = 0; each && t < grid->tensors; t++) {
        each[t] = symbols;
        symbols += (size_t)grid->shapes[t].rows * grid->shapes[t].cols;
    }
    return each;
}

static enum verdict decode(
    const struct test *test, const struct fc_grid *grid, struct arena arena, struct report *report)
{
    const size_t room_size = fc_tensors_room(grid);
    int32_t *symbols = take(&arena, test->input.size);
    void *room = take(&arena, room_size);
    if (!symbols || !room)
        return SKIPPED;
    for (uint32_t i = 0; i < test->input.size / 4; i++)
        symbols[i] = 0;
    if (fc_decode_tensors(grid, test->output.bytes, test->output.size, symbols, room, room_size))
        return DIFFERENT;
    return compare(report, symbols, test->input.size, &test->input);
}

static enum verdict encode(
    const struct test *test, const struct fc_grid *grid, struct arena arena, struct report *report)
{
    const int32_t *symbols = test->input.bytes;
    uint32_t nonzeros = 0;
    for (uint32_t i = 0; i < test->input.size / 4; i++)
        nonzeros += symbols[i] != 0;
    const size_t room_size = fc_encode_room(grid, NULL, NULL, nonzeros);
    const int32_t **each = pointers(grid, symbols, &arena);
    uint8_t *made = take(&arena, test->output.size);
    void *room = take(&arena, room_size);
    size_t written;
    if (!each || !made || !room)
        return SKIPPED;
    if (fc_encode_scattered(
            grid, NULL, each, nonzeros, made, test->output.size, &written, room, room_size))
        return DIFFERENT;
    return compare(report, made, written, &test->output);
}

enum verdict check_range(const struct test *test, struct arena *arena, struct report *report)
{
    struct fc_shape *shapes = take(arena, word(test, 0) * sizeof *shapes);
    if (!shapes)
        return SKIPPED;
    for (uint32_t t = 0; t < word(test, 0); t++) {
        shapes[t].rows = word(test, 3 + 2 * t);
        shapes[t].cols = word(test, 4 + 2 * t);
    }
    const struct fc_grid grid = {shapes, NULL, word(test, 0), word(test, 1), word(test, 2), 0};
    const enum verdict verdict = decode(test, &grid, *arena, report);
    if (verdict != SAME || *(const uint8_t *)test->output.bytes & LANES)
        return verdict;
    return encode(test, &grid, *arena, report);
}
