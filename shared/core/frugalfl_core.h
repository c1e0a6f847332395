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

/* What the processor has, for `machine` in fc_grid: asking takes long, so ask once. */
enum { FC_HAS_AVX2 = 1 };
FC_API uint32_t fc_machine(void);

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
    uint32_t hinted;  /* 0: no thresholds are shared */
    uint32_t machine; /* what fc_machine() says; 0 works everywhere */
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
 * `spare` is 196,608 bytes that may be written.
 */
FC_API size_t fc_order_room(const struct fc_grid *grid);
FC_API int fc_order_prepare(const struct fc_grid *grid, void *memory, size_t size, void *spare);

/* The bytes of memory that a call needs; 0 if the shapes are too large. */
FC_API size_t fc_nonzeros_room(const struct fc_grid *grid, const void *prepared, uint32_t most);
FC_API size_t fc_encode_room(
    const struct fc_grid *grid, const uint8_t *dense, const void *prepared, uint32_t most);

/* Decode a frame without lanes as far as its nonzeros. */
FC_API int fc_decode_nonzeros(
    const struct fc_grid *grid, const void *prepared, const uint8_t *data, size_t size,
    struct fc_nonzeros *found, void *memory, size_t memory_size);

/* Decode any frame; `symbols`: of all tensors, zeros before. */
FC_API size_t fc_tensors_room(const struct fc_grid *grid);
FC_API int fc_decode_tensors(
    const struct fc_grid *grid, const uint8_t *data, size_t size, int32_t *symbols,
    void *memory, size_t memory_size);

/* Encode tensors with at most `most` nonzeros, 32,768 at most, as a frame without lanes. */
FC_API int fc_encode_scattered(
    const struct fc_grid *grid, const void *prepared, const int32_t *const *symbols,
    uint32_t most, uint8_t *out, size_t out_size, size_t *written, void *memory,
    size_t memory_size);

/* ------------------------------------- encoding frames with dense tensors: dense_encode.c, range.c */

/* What is known of a tensor's rows and columns. */
struct fc_lines {
    uint32_t *by_row, *by_col, *minus; /* nonzeros of each; those of a row that are negative */
    uint8_t *row_class, *col_class, *sign_class; /* below 16; the last by row too */
};

/* Levels of chances, below 64. */
struct fc_levels {
    const uint8_t *trees; /* 3 trees of 15: rows, columns, signs */
    const uint8_t *pairs; /* 16 * 16: row class, column class */
    const uint8_t *more;  /* 14 sizes of 16 buckets, then 32 exponents */
};

/* The decisions of a frame's dense tensors, pass after pass. */
struct fc_decisions {
    uint8_t *codes;
    uint64_t *ends; /* where each pass ends; 128 a tensor are enough */
    uint8_t *raw;   /* equally likely bits, a byte each */
    uint32_t *live; /* spare: one entry a column */
    uint64_t count, passes, raws;
};

/* Begin a frame in memory that must not move; out: the flag byte's place and the scalar stream. */
FC_API size_t fc_dense_frame_room(void);
FC_API int fc_dense_start(
    void *frame, const uint8_t *dense, uint32_t tensors, uint8_t *out, size_t out_size);

/* Count a tensor's nonzeros by line; list their columns and values. Room for one more of them. */
FC_API uint32_t fc_dense_survey(
    const int32_t *symbols, uint32_t rows, uint32_t cols, const struct fc_lines *lines,
    const struct fc_nonzeros *found);

/* Count nonzeros by row class << 4 | column class. */
FC_API void fc_dense_pairs(
    uint32_t rows, const struct fc_lines *lines, const uint32_t *columns, uint32_t *ones);

/* Count nonzeros by bucket << 4 | size (15: more), and by exponent (32) beyond; how many decisions
 * sizes take at most. */
FC_API uint64_t fc_dense_sizes(
    uint32_t rows, const struct fc_lines *lines, const struct fc_nonzeros *found,
    const uint8_t *pairs, uint32_t *sizes, uint32_t *exponents);

/* Code a tensor's tables, append its decisions. `found` is overwritten. `spare`: as many bytes as
 * the largest of nonzeros, rows and 16 times columns. */
FC_API int fc_dense_code(
    void *frame, uint32_t rows, uint32_t cols, const struct fc_lines *lines,
    const struct fc_nonzeros *found, const struct fc_levels *levels,
    struct fc_decisions *decisions, uint8_t *spare);

/* Code the tensors that are not dense, and end the scalar stream; the memory as for
 * fc_encode_room. */
FC_API int fc_dense_finish(
    void *frame, const struct fc_grid *grid, const uint8_t *dense,
    const int32_t *const *symbols, uint32_t most, size_t *written, void *memory,
    size_t memory_size);

/* Count the codes of every eighth decision of each pass; 256 counts. */
FC_API void fc_lanes_sample(const struct fc_decisions *decisions, uint32_t *counts);

/* Write the lanes, to stand at the end of the frame; log_lanes is 11 at most. */
FC_API size_t fc_lanes_room(void);
FC_API int fc_lanes_write(
    const struct fc_decisions *decisions, uint32_t log_lanes, uint8_t *out, size_t out_size,
    size_t *written, void *memory);

#endif
