/* The checks on a machine with files: prints cases, wrong, skipped, the first wrong and the digest. */
#include <stdio.h>
#include <stdlib.h>

#include "check.h"

enum { MEMORY = 64 << 20 };

int main(int count, char **arguments)
{
    FILE *file = count == 2 ? fopen(arguments[1], "rb") : NULL;
    if (!file || fseek(file, 0, SEEK_END))
        return 2;
    const size_t size = (size_t)ftell(file);
    uint8_t *vectors = malloc(size), *memory = malloc(MEMORY);
    rewind(file);
    if (!vectors || !memory || fread(vectors, 1, size, file) != size)
        return 2;
    const struct report report = check(vectors, memory, MEMORY);
    printf("%u %u %u %u %u\n", (unsigned)report.cases, (unsigned)report.wrong,
           (unsigned)report.skipped, (unsigned)report.first_wrong, (unsigned)report.digest);
    return report.wrong != 0;
}
