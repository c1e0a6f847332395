/* What the fuzzers have in common: random draws, exact memory, and how they end. After all.c. */
#ifndef FRUGALFL_FUZZ_H
#define FRUGALFL_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 1;
static unsigned long refused, taken; /* mutated frames */

static uint32_t draw(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return fc_finalise((uint32_t)(state >> 32));
}

static uint32_t below(uint32_t bound)
{
    return draw() % bound;
}

static void fail(const char *what)
{
    fprintf(stderr, "after %lu mutated frames: %s\n", refused + taken, what);
    abort();
}

/* Memory that a sanitizer knows the end of. */
static void *exactly(size_t size)
{
    void *memory = malloc(size ? size : 1);
    if (memory == NULL)
        exit(2);
    memset(memory, (int)below(256), size < 4096 ? size : 4096);
    return memory;
}

#endif
