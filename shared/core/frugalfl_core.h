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
/* ------------------------------------------------------------------------ small dense integers */

/*
 * `rans`: vectors of which most entries are not zero, such as the coordinates of a subspace.
 *
 * symbols: integers of `width` bytes each, 1, 2 or 4, in this machine's order. Of 1 byte, -128 is none.
 * dithered: whether they were rounded with the dither that both ends draw from `seed`.
 * room: memory of fc_rans_room() bytes that begins at a multiple of 4. If it is to be kept, it must be
 *     zeros before its first use, and later calls are quicker.
 */

/*
 * Round values to multiples of a step, with the dither of a seed added; the first value is number
 * `first` of all that have this seed. FC_VALUE: one is not finite, or beyond 2**31 - 2 steps.
 */
FC_API int fc_dither(
    const float *values, size_t count, double step, uint32_t seed, uint32_t first, int32_t *symbols);

/* Take the dither off, and multiply by the step. */
FC_API void fc_undither(
    const int32_t *symbols, size_t count, double step, uint32_t seed, uint32_t first, float *values);

/* The bytes of room that a call needs; with `keep`, room enough to keep tables between calls. */
FC_API size_t fc_rans_room(uint32_t keep);

/* Write the frame's payload; 6 B and 7 B a symbol are always enough. FC_FULL: `out` is too small. */
FC_API int fc_rans_encode(
    const void *symbols, uint32_t width, uint32_t count, uint32_t dithered, uint32_t seed,
    uint8_t *out, size_t out_size, size_t *written, void *room, size_t room_size);

/* Read it. FC_LARGE: a symbol needs more bits than `width` has. */
FC_API int fc_rans_decode(
    const uint8_t *data, size_t size, void *symbols, uint32_t width, uint32_t count,
    uint32_t dithered, uint32_t seed, void *room, size_t room_size);

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

/* ------------------------------------------------------------------------ small dense integers */

/*
 * `rans`: vectors of which most entries are not zero, such as the coordinates of a subspace.
 *
 * symbols: integers of `width` bytes each, 1, 2 or 4, in this machine's order. Of 1 byte, -128 is none.
 * dithered: whether they were rounded with the dither that both ends draw from `seed`.
 * room: memory of fc_rans_room() bytes that begins at a multiple of 4. If it is to be kept, it must be
 *     zeros before its first use, and later calls are quicker.
 */

/*
 * Round values to multiples of a step, with the dither of a seed added; the first value is number
 * `first` of all that have this seed. FC_VALUE: one is not finite, or beyond 2**31 - 2 steps.
 */
FC_API int fc_dither(
    const float *values, size_t count, double step, uint32_t seed, uint32_t first, int32_t *symbols);

/* Take the dither off, and multiply by the step. */
FC_API void fc_undither(
    const int32_t *symbols, size_t count, double step, uint32_t seed, uint32_t first, float *values);

/* The bytes of room that a call needs; with `keep`, room enough to keep tables between calls. */
FC_API size_t fc_rans_room(uint32_t keep);

/* Write the frame's payload; 6 B and 7 B a symbol are always enough. FC_FULL: `out` is too small. */
FC_API int fc_rans_encode(
    const void *symbols, uint32_t width, uint32_t count, uint32_t dithered, uint32_t seed,
    uint8_t *out, size_t out_size, size_t *written, void *room, size_t room_size);

/* Read it. FC_LARGE: a symbol needs more bits than `width` has. */
FC_API int fc_rans_decode(
    const uint8_t *data, size_t size, void *symbols, uint32_t width, uint32_t count,
    uint32_t dithered, uint32_t seed, void *room, size_t room_size);

#endif
