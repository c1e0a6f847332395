/*
 * FrugalFL's core: what both ends of the wire spend their joules on, in C11.
 *
 * One source, three homes: the library that frugalfl.native loads, the firmware, the browser. The
 * readable Python in shared/frugalfl/codec is the reference; this must give the same bytes and bits.
 *
 * Rules that every function here keeps:
 * - no heap, no globals that change, no libc: all memory is the caller's, so that threads may call at
 *   the same time, each with its own room;
 * - every length is checked before it is used; an error is a returned number of `enum fc_status`, and
 *   then nothing is known of the output;
 * - integers, wherever the result decides a byte; where floats are rounded or added, IEEE 754 without
 *   contraction of a * b + c (-ffp-contract=off);
 * - little-endian and big-endian hosts write the same bytes.
 */
#ifndef FRUGALFL_CORE_H
#define FRUGALFL_CORE_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define FC_API __declspec(dllexport)
#elif defined(__GNUC__)
#define FC_API __attribute__((visibility("default")))
#else
#define FC_API
#endif

/* Raised whenever a signature or a meaning here changes: frugalfl.native refuses another number. */
#define FC_ABI 1

enum fc_status {
    FC_OK = 0,
    FC_CORRUPT = 1, /* no symbol has this code, or bytes that no encoder writes */
    FC_ENDED = 2,   /* the bytes end before the last symbol */
    FC_LEFT = 3,    /* bytes are left over */
    FC_LARGE = 4,   /* a symbol is beyond 32 bits */
    FC_MANY = 5,    /* more nonzeros than the format allows */
    FC_FLAGS = 6,   /* the flag byte is not of this format, or not as asked for */
    FC_ROOM = 7,    /* the caller's room is too small, or the shapes are too large */
    FC_FULL = 8,    /* the output is too small */
    FC_VALUE = 9,   /* a float is not finite, or beyond 2**31 steps */
};

FC_API uint32_t fc_abi(void);

/* ---------------------------------------------------------------------- the range coder: range.c */

struct fc_shape {
    uint32_t rows, cols;
};

/* The tensors of a frame, and the thresholds that both ends know. */
struct fc_grid {
    const struct fc_shape *shapes;
    const uint32_t *words; /* all cells' threshold words in order; NULL: drawn from the seed */
    uint32_t tensors;
    uint32_t seed;
    uint32_t hinted; /* 0: no thresholds are shared */
};

struct fc_nonzeros {
    uint32_t *places; /* counted through all tensors; rising */
    int32_t *values;
    uint32_t most; /* room in both: frames without lanes never have more than 32,768 */
    uint32_t count;
};

/*
 * Where no thresholds are shared, the order of the cells depends on the shapes alone: prepare it
 * once, and hand it to every call (NULL: it is made anew). It must stay where it was prepared.
 * `spare` is 65,536 bytes that may be written.
 */
FC_API size_t fc_order_room(const struct fc_grid *grid);
FC_API int fc_order_prepare(const struct fc_grid *grid, void *memory, size_t size, void *spare);

/* The bytes of memory that a call needs; 0 if the shapes are too large. */
FC_API size_t fc_nonzeros_room(const struct fc_grid *grid, const void *prepared, uint32_t most);
FC_API size_t fc_encode_room(const struct fc_grid *grid, const void *prepared, uint32_t most);

/* Decode a frame without lanes as far as its nonzeros. */
FC_API int fc_decode_nonzeros(
    const struct fc_grid *grid, const void *prepared, const uint8_t *data, size_t size,
    struct fc_nonzeros *found, void *memory, size_t memory_size);

/* Encode tensors with at most `most` nonzeros, 32,768 at most, as a frame without lanes. */
FC_API int fc_encode_scattered(
    const struct fc_grid *grid, const void *prepared, const int32_t *const *symbols,
    uint32_t most, uint8_t *out, size_t out_size, size_t *written, void *memory,
    size_t memory_size);

#endif
