/*
 * Test vectors against the core, on any machine: what Python coded must come out here byte by byte.
 *
 * Vectors (vectors.py writes them) are little-endian: a count, then for each case its kind and the bytes
 * of its three parts, then the parts, each filled up to 8 bytes. Parameters are 32-bit words.
 */
#ifndef CHECK_H
#define CHECK_H

#include "frugalfl_core.h"

struct part {
    const void *bytes;
    uint32_t size;
};

struct test {
    uint32_t kind;
    struct part parameters, input, output;
};

/* Memory that every case begins anew. */
struct arena {
    uint8_t *memory;
    size_t size, used;
};

struct report {
    uint32_t cases, wrong, skipped;
    uint32_t first_wrong; /* number of the case */
    uint32_t digest;      /* FNV-1a of all bytes that were made, skipped cases' not */
};

/* Space for so many bytes, aligned to 8; NULL if there is none left. */
void *take(struct arena *arena, size_t bytes);

/* The parameter of a number. */
uint32_t word(const struct test *test, uint32_t number);

/* What a check returns: whether the bytes were the same, or whether this machine cannot tell. */
enum verdict { SAME, DIFFERENT, SKIPPED };

/* Compare what was made, and add it to the digest. */
enum verdict compare(struct report *report, const void *made, size_t size, const struct part *expected);

enum verdict check_rans(const struct test *test, struct arena *arena, struct report *report);
enum verdict check_dither(const struct test *test, struct arena *arena, struct report *report);
enum verdict check_range(const struct test *test, struct arena *arena, struct report *report);
enum verdict check_golomb(const struct test *test, struct arena *arena, struct report *report);
enum verdict check_round(const struct test *test, struct arena *arena, struct report *report);

/* Run all cases; `vectors` and `memory` begin at multiples of 8. */
struct report check(const uint8_t *vectors, uint8_t *memory, size_t memory_size);

#endif
