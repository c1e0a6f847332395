/* Small helpers that every part may use: bits, logarithms, memory, the words of a seed. */
#ifndef FC_BITS_H
#define FC_BITS_H

#include <stddef.h>
#include <stdint.h>

#include "tables.h"

#if defined(__GNUC__)
#define FC_INLINE static inline __attribute__((always_inline, unused))
#define FC_LIKELY(x) __builtin_expect(!!(x), 1)
#else
#define FC_INLINE static inline
#define FC_LIKELY(x) (x)
#endif

/* Before a loop that is worth four copies of its body. */
#if defined(__clang__)
#define FC_UNROLL _Pragma("clang loop unroll_count(4)")
#elif defined(__GNUC__)
#define FC_UNROLL _Pragma("GCC unroll 4")
#else
#define FC_UNROLL
#endif

/* Functions that may be compiled for vectors of 256 bits as well, if fc_machine() has them. */
#if defined(__x86_64__) && defined(__GNUC__)
#define FC_AVX2 __attribute__((target("avx2")))
#endif

FC_INLINE int32_t fc_clamp(int32_t value, int32_t least, int32_t most)
{
    return value < least ? least : value > most ? most : value;
}

FC_INLINE uint32_t fc_least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* How many bits a number has; 0 has none. */
FC_INLINE uint32_t fc_bits_of(uint64_t n)
{
#if defined(__GNUC__)
    return n ? 64 - (uint32_t)__builtin_clzll(n) : 0;
#else
    uint32_t bits = 0;
    for (; n; n >>= 1)
        bits++;
    return bits;
#endif
}

/* The logarithm to base 2 in eighths, rounded down; n > 0. */
FC_INLINE int32_t fc_eighths(uint64_t n)
{
    const uint32_t length = fc_bits_of(n);
    const uint32_t mantissa = (uint32_t)(length <= 16 ? n << (16 - length) : n >> (length - 16));
    uint32_t k = FC_EIGHTH_OF[mantissa >> 9 & 63];
    k += mantissa >= FC_EIGHTHS[k + 1];
    return (int32_t)(8 * (length - 1) + k);
}

/* The finaliser of MurmurHash3, as entropy/thresholds.py. */
FC_INLINE uint32_t fc_finalise(uint32_t x)
{
    x ^= x >> 16;
    x *= 0x85EBCA6Bu;
    x ^= x >> 13;
    x *= 0xC2B2AE35u;
    return x ^ x >> 16;
}

/* Word `number` of a seed; `mixed` is the seed, finalised. */
FC_INLINE uint32_t fc_word(uint32_t number, uint32_t mixed)
{
    return fc_finalise(number * 0x9E3779B9u + mixed);
}

FC_INLINE void fc_zero(void *memory, size_t bytes)
{
#if defined(__GNUC__)
    __builtin_memset(memory, 0, bytes);
#else
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)memory)[i] = 0;
#endif
}

/* Cuts the caller's memory into arrays; without memory it only counts. */
struct fc_room {
    uint8_t *memory;
    uint64_t used;
};

FC_INLINE void *fc_part(struct fc_room *room, uint64_t count, uint64_t size)
{
    void *where = room->memory ? room->memory + room->used : NULL;
    room->used = (room->used + count * size + 63) & ~(uint64_t)63;
    return where;
}

/* Memory that begins at a multiple of 64. */
FC_INLINE struct fc_room fc_open_room(void *memory)
{
    struct fc_room room = {memory, 0};
    if (memory)
        room.memory += (0u - (uintptr_t)memory) & 63;
    return room;
}

/* The bytes to ask of a caller for what was counted; 0 if no machine has them. */
FC_INLINE size_t fc_asked(uint64_t used)
{
    return used > SIZE_MAX - 64 ? 0 : (size_t)used + 64;
}

#endif
