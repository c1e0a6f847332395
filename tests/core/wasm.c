/* The checks in a sandbox: Node writes the vectors into memory of ours, and reads the report. */
#include "check.h"

enum { VECTORS = 16 << 20, MEMORY = 16 << 20 };

static _Alignas(8) uint8_t vectors[VECTORS], memory[MEMORY];
static struct report report;

__attribute__((export_name("vectors"))) uint8_t *vectors_at(void)
{
    return vectors;
}

__attribute__((export_name("run"))) struct report *run(void)
{
    report = check(vectors, memory, MEMORY);
    return &report;
}
