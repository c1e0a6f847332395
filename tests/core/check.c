#include "check.h"

static uint32_t little(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

void *take(struct arena *arena, size_t bytes)
{
    const size_t rounded = (bytes + 7) & ~(size_t)7;
    if (rounded < bytes || rounded > arena->size - arena->used)
        return NULL;
    void *where = arena->memory + arena->used;
    arena->used += rounded;
    return where;
}

uint32_t word(const struct test *test, uint32_t number)
{
    return little((const uint8_t *)test->parameters.bytes + 4 * number);
}

enum verdict compare(struct report *report, const void *made, size_t size, const struct part *expected)
{
    const uint8_t *one = made, *other = expected->bytes;
    int same = size == expected->size;
    for (size_t i = 0; i < size; i++) {
        report->digest = (report->digest ^ one[i]) * 16777619U;
        same = same && one[i] == other[i];
    }
    return same ? SAME : DIFFERENT;
}

/* Read a case; return where the next begins. */
static const uint8_t *read_test(const uint8_t *at, struct test *test)
{
    struct part *parts[] = {&test->parameters, &test->input, &test->output};
    const uint8_t *next = at + 16;
    test->kind = little(at);
    for (uint32_t i = 0; i < 3; i++) {
        parts[i]->size = little(at + 4 + 4 * i);
        parts[i]->bytes = next;
        next += (parts[i]->size + 7) & ~7U;
    }
    return next;
}

struct report check(const uint8_t *vectors, uint8_t *memory, size_t memory_size)
{
    enum verdict (*const kinds[])(const struct test *, struct arena *, struct report *) = {
        check_rans,
#ifndef FC_SMALL
        check_dither, check_range, check_golomb, check_round,
#endif
    };
    struct report report = {little(vectors), 0, 0, UINT32_MAX, 2166136261U};
    const uint8_t *next = vectors + 8;
    for (uint32_t i = 0; i < report.cases; i++) {
        struct test test;
        struct arena arena = {memory, memory_size, 0};
        next = read_test(next, &test);
        const uint32_t known = sizeof kinds / sizeof *kinds;
        const enum verdict verdict =
            test.kind < known ? kinds[test.kind](&test, &arena, &report) : SKIPPED;
        report.skipped += verdict == SKIPPED;
        report.wrong += verdict == DIFFERENT;
        if (verdict == DIFFERENT && report.first_wrong > i)
            report.first_wrong = i;
    }
    return report;
}
