/* Small dense integers: parameters count, dithered, seed; input int32 symbols; output the payload. */
#include "check.h"

#ifdef FC_SMALL
typedef int16_t symbol;
#else
typedef int32_t symbol;
#endif

/* The symbols in the width that this machine's core has; 0: one is too large for it. */
static int narrow(const struct part *input, symbol *symbols, uint32_t count)
{
    const int32_t *wide = input->bytes;
    for (uint32_t i = 0; i < count; i++) {
        symbols[i] = (symbol)wide[i];
        if (symbols[i] != wide[i])
            return 0;
    }
    return 1;
}

enum verdict check_rans(const struct test *test, struct arena *arena, struct report *report)
{
    const uint32_t count = word(test, 0), dithered = word(test, 1), seed = word(test, 2);
    const size_t most = test->output.size, room_size = fc_rans_room(0);
    symbol *symbols = take(arena, count * sizeof *symbols), *read = take(arena, count * sizeof *read);
    uint8_t *made = take(arena, most);
    uint32_t *room = take(arena, room_size);
    size_t written;
    if (!symbols || !read || !made || !room || !narrow(&test->input, symbols, count))
        return SKIPPED;
    if (fc_rans_encode(symbols, sizeof *symbols, count, dithered, seed, made, most, &written, room,
                       room_size))
        return DIFFERENT;
    if (compare(report, made, written, &test->output) == DIFFERENT)
        return DIFFERENT;
    if (fc_rans_decode(made, written, read, sizeof *read, count, dithered, seed, room, room_size))
        return DIFFERENT;
    for (uint32_t i = 0; i < count; i++)
        if (read[i] != symbols[i])
            return DIFFERENT;
    /* With less space than the payload needs, nothing is written beyond it. */
    if (most && fc_rans_encode(symbols, sizeof *symbols, count, dithered, seed, made, most - 1,
                               &written, room, room_size)
                    != FC_FULL)
        return DIFFERENT;
    return SAME;
}
