/*
 * Rounding: parameters the step's two words, seed, number of the first; input float32 values; output
 * int32 symbols. `dither` has the restored values behind the symbols.
 */
#include "check.h"

static double step_of(const struct test *test)
{
    union {
        uint64_t bits;
        double value;
    } step = {word(test, 0) | (uint64_t)word(test, 1) << 32};
    return step.value;
}

enum verdict check_dither(const struct test *test, struct arena *arena, struct report *report)
{
    const uint32_t count = test->input.size / 4, seed = word(test, 2), first = word(test, 3);
    int32_t *made = take(arena, 8 * (size_t)count);
    if (!made)
        return SKIPPED;
    if (fc_dither(test->input.bytes, count, step_of(test), seed, first, made))
        return DIFFERENT;
    fc_undither(made, count, step_of(test), seed, first, (float *)(void *)(made + count));
    return compare(report, made, 8 * (size_t)count, &test->output);
}

enum verdict check_round(const struct test *test, struct arena *arena, struct report *report)
{
    const uint32_t count = test->input.size / 4, seed = word(test, 2), first = word(test, 3);
    int32_t *made = take(arena, 4 * (size_t)count);
    if (!made)
        return SKIPPED;
    if (fc_round_shared(test->input.bytes, count, step_of(test), seed, first, made))
        return DIFFERENT;
    return compare(report, made, 4 * (size_t)count, &test->output);
}
