/*
 * Mutates payloads of small dense integers and decodes them, under sanitizers:
 *
 *     cc -std=c11 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover -o fuzz fuzz_rans.c
 *     ./fuzz 1000000 [SEED]
 *
 * Vectors are random, dithered or not, of each width, with room that is kept or that is not. Every
 * buffer is of the exact size that the core asks for, so that a step beyond it is found.
 */
#include "all.c"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 300, MUTATIONS = 50 };

static uint32_t drawn;
static unsigned long mutated, refused;

static uint32_t draw(uint32_t below)
{
    return threshold_word(7, drawn++) % below;
}

static void fail(const char *what)
{
    printf("after %lu mutated payloads: %s\n", mutated, what);
    abort();
}

/* Memory that a sanitizer knows the end of. */
static void *exactly(size_t size)
{
    void *memory = calloc(size ? size : 1, 1);
    if (!memory)
        fail("no memory");
    return memory;
}

struct vector {
    void *symbols;
    uint32_t width, count, dithered, seed;
};

/* Symbols of one scale, a few of them far beyond it. */
static struct vector random_vector(void)
{
    const uint32_t widths[] = {1, 2, 4}, shift = draw(12);
    struct vector v = {NULL, widths[draw(3)], draw(MOST), draw(2), threshold_word(9, drawn)};
    v.symbols = exactly((size_t)v.count * v.width);
    for (uint32_t i = 0; i < v.count; i++) {
        const uint32_t scale = draw(40) ? shift : draw(32);
        const uint32_t wide = draw(UINT32_MAX) & ((2U << scale) - 1);
        const int32_t symbol = (int32_t)(wide - ((1U << scale) - 1));
        if (v.width == 1)
            ((int8_t *)v.symbols)[i] = (int8_t)(symbol % 128);
        else if (v.width == 2)
            ((int16_t *)v.symbols)[i] = (int16_t)symbol;
        else
            ((int32_t *)v.symbols)[i] = symbol;
    }
    return v;
}

static int decode(
    const struct vector *v, const uint8_t *data, size_t size, void *into, void *room, size_t room_size)
{
    return fc_rans_decode(
        data, size, into, v->width, v->count, v->dithered, v->seed, room, room_size);
}

static void mutate_once(
    const struct vector *v, const uint8_t *data, size_t size, void *room, size_t room_size)
{
    const size_t length = draw(3) ? size : draw((uint32_t)size + 9);
    uint8_t *copy = exactly(length);
    void *read = exactly((size_t)v->count * v->width);
    memcpy(copy, data, length < size ? length : size);
    for (uint32_t flips = draw(5); flips && length; flips--)
        copy[draw((uint32_t)length)] ^= (uint8_t)(1U << draw(8));
    for (size_t i = 1; draw(9) == 0 && i < length; i++)
        copy[i] = (uint8_t)draw(256);
    refused += decode(v, copy, length, read, room, room_size) != FC_OK;
    mutated++;
    free(copy);
    free(read);
}

static int encode(
    const struct vector *v, uint8_t *out, size_t space, size_t *size, void *room, size_t room_size)
{
    return fc_rans_encode(
        v->symbols, v->width, v->count, v->dithered, v->seed, out, space, size, room, room_size);
}

static void fuzz_one(void *kept, size_t kept_size)
{
    const struct vector v = random_vector();
    const int keep = draw(2);
    const size_t room_size = keep ? kept_size : fc_rans_room(0), most = 6 + 7 * (size_t)v.count;
    void *room = keep ? kept : exactly(room_size), *read = exactly((size_t)v.count * v.width);
    uint8_t *out = exactly(most);
    size_t size, again;
    if (encode(&v, out, most, &size, room, room_size))
        fail("a vector was not coded");
    uint8_t *data = exactly(size);
    memcpy(data, out, size);
    if (decode(&v, data, size, read, room, room_size) ||
        memcmp(read, v.symbols, (size_t)v.count * v.width))
        fail("a vector came back differently");
    uint8_t *less = exactly(size ? size - 1 : 0);
    if (size && encode(&v, less, size - 1, &again, room, room_size) != FC_FULL)
        fail("too little space was not seen");
    for (uint32_t i = 0; i < MUTATIONS; i++)
        mutate_once(&v, data, size, room, room_size);
    if (!keep)
        free(room);
    free(v.symbols), free(read), free(out), free(data), free(less);
}

int main(int count, char **arguments)
{
    const unsigned long wanted = count > 1 ? strtoul(arguments[1], NULL, 10) : 100000;
    const size_t kept_size = fc_rans_room(1);
    void *kept = exactly(kept_size);
    drawn = count > 2 ? (uint32_t)strtoul(arguments[2], NULL, 10) * 0x10001U : 0;
    while (mutated < wanted)
        fuzz_one(kept, kept_size);
    free(kept);
    printf("%lu mutated payloads: %lu refused, %lu read\n", mutated, refused, mutated - refused);
    return 0;
}
