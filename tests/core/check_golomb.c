/* Golomb-Rice coded signs: parameters how many symbols, how many nonzeros, the bits of a remainder;
 * input int32 symbols; output the bit stream. */
#include "check.h"

static int same_places(
    const struct part *input, const int64_t *places, const float *signs, size_t count)
{
    const int32_t *symbols = input->bytes;
    size_t found = 0;
    for (uint32_t i = 0; i < input->size / 4; i++) {
        if (symbols[i] == 0)
            continue;
        if (found == count || places[found] != i || signs[found] != (float)symbols[i])
            return 0;
        found++;
    }
    return found == count;
}

enum verdict check_golomb(const struct test *test, struct arena *arena, struct report *report)
{
    const uint32_t all = word(test, 0), count = word(test, 1);
    int64_t *places = take(arena, 8 * (size_t)count);
    uint8_t *negative = take(arena, count), *made = take(arena, test->output.size);
    float *signs = take(arena, 4 * (size_t)count);
    size_t found = 0;
    uint32_t rice = 0;
    uint64_t unary = 0;
    if (!places || !negative || !made || !signs)
        return SKIPPED;
    if (fc_golomb_find(test->input.bytes, all, 0, places, negative, count, &found) ||
        found != count || fc_rice(places, count, 0, &rice, &unary) || rice != word(test, 2) ||
        fc_golomb_write(places, negative, count, rice, unary, made, test->output.size))
        return DIFFERENT;
    if (compare(report, made, test->output.size, &test->output) == DIFFERENT)
        return DIFFERENT;
    if (fc_golomb_decode(made, test->output.size, count, rice, all, places, signs))
        return DIFFERENT;
    return same_places(&test->input, places, signs, count) ? SAME : DIFFERENT;
}
