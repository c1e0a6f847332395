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
/* Which C files it was compiled from: CRC-32 that frugalfl/native/source.py works out. */
FC_API uint32_t fc_source(void);

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

/* ---------------------------------------------------- nonzeros row by row: rows.c */

/* The flag byte of such a frame. */
#define FC_BY_ROWS 0x20

/* The bytes of memory that both ways need. */
FC_API size_t fc_rows_room(void);

/* Decode a frame of these shapes (fewer than 2**31 cells) as far as its nonzeros. */
FC_API int fc_rows_decode(
    const struct fc_shape *shapes, uint32_t tensors, const uint8_t *data, size_t size,
    struct fc_nonzeros *found, void *memory, size_t memory_size);

/*
 * Encode nonzeros, at most 32,768 and as many as there is room for: FC_VALUE if their places are
 * not rising or not of these shapes, FC_FULL.
 */
FC_API int fc_rows_encode(
    const struct fc_shape *shapes, uint32_t tensors, struct fc_nonzeros *known, uint8_t *out,
    size_t out_size, size_t *written, void *memory, size_t memory_size);

/* ------------------------------------------------------- thresholds and rounding: rounding.c */

/* Words `first` to `first + count - 1` of a seed, modulo 2**32. */
FC_API void fc_mix(uint32_t seed, uint32_t first, size_t count, uint32_t *words);

/* The bits of the largest magnitude; from 0x7F800000 on if a value is not finite. */
FC_API uint32_t fc_largest(const float *values, size_t count);

/* Round to multiples of a positive step against the words of a seed from `first` on: FC_VALUE. */
FC_API int fc_round_shared(
    const float *values, size_t count, double step, uint32_t seed, uint32_t first, int32_t *symbols);

/* Round |value| * per_step + raise down, and give it the value's sign: FC_VALUE. */
FC_API int fc_round_nearest(
    const float *values, size_t count, float per_step, float raise, int32_t *symbols);

/* Multiply by a power of two; FC_VALUE if a product is no whole number between -2**31 and 2**31. */
FC_API int fc_whole_multiples(
    const float *values, size_t count, double per_step, int32_t *symbols);

/*
 * Of symbols with sizes 1, 2 and 3 up: add to three sums by how much the values they were rounded
 * from are larger, in steps, and count them. The values are finite.
 */
FC_API void fc_excess(
    const float *values, const int32_t *symbols, size_t count, double step, double *sums,
    uint64_t *counts);

/* Symbols, each size 0 to 2, 3 up shifted by its one of four offsets, times the step. */
FC_API void fc_restore(
    const int32_t *symbols, size_t count, double step, const double *offsets, float *values);

/* --------------------------------------------------------------- the largest values: select.c */

/*
 * The magnitude `least` that is number `rank` from the largest (1) on, how many are `above` it and
 * how many `equal`: FC_ROOM if there is none, or if there are 2**32 values or more.
 */
FC_API int fc_rank(
    const float *values, size_t count, size_t rank, float *least, size_t *above, size_t *equal);

/* Make 0 of each value whose magnitude is below `least`. */
FC_API void fc_keep_from(float *values, size_t count, float least);

/* ------------------------------------------------------------ Golomb-Rice coded signs: golomb.c */

/*
 * Read `count` rising places below `below` (at most 2**40) with `rice` bits of remainder (at most
 * 40), and 1 or -1 for each: FC_ROOM, FC_ENDED, FC_LEFT, FC_LARGE.
 */
FC_API int fc_golomb_decode(
    const uint8_t *data, size_t size, size_t count, uint32_t rice, uint64_t below, int64_t *places,
    float *symbols);

/*
 * Append the places of the symbols that are not 0, counted from `first` on, to `found` others, and
 * which are negative: FC_VALUE if one is not -1, 0 or 1, FC_FULL if there are more than `room`.
 */
FC_API int fc_golomb_find(
    const int32_t *symbols, size_t count, int64_t first, int64_t *places, uint8_t *negative,
    size_t room, size_t *found);

/*
 * The number of remainder bits with the shortest code for rising places, of those below the largest
 * gap's length plus `more`; and the bits of all quotients without stops. FC_VALUE: they do not rise.
 */
FC_API int fc_rice(
    const int64_t *places, size_t count, uint32_t more, uint32_t *rice, uint64_t *unary);

/*
 * Write gaps, and signs unless `negative` is NULL, as fc_rice found them to be the shortest:
 * FC_FULL if that does not fill `size` bytes.
 */
FC_API int fc_golomb_write(
    const int64_t *places, const uint8_t *negative, size_t count, uint32_t rice, uint64_t unary,
    uint8_t *out, size_t size);

/* --------------------------------------------------------------- updates into a sum: sums.c */

/* Multiply values by a weight, and add them to the sum `shift` behind their places: FC_ROOM. */
FC_API int fc_add_sparse(
    float *sum, size_t size, const int64_t *places, int64_t shift, float *values, size_t count,
    float weight);

/* Multiply values by a weight, and add them to the sum. */
FC_API void fc_add_dense(float *sum, float *values, size_t count, float weight);

/* Divide a sum by a weight, and add the model. */
FC_API void fc_mean(float *sum, const float *model, size_t count, float weight);

/* ---------------------------------------------------- rounding with a shared dither: dithered.c */

/*
 * Round values to multiples of a step, with the dither of a seed added; the first value is number
 * `first` of all that have this seed. FC_VALUE: one is not finite, or beyond 2**31 - 2 steps.
 */
FC_API int fc_dither(
    const float *values, size_t count, double step, uint32_t seed, uint32_t first, int32_t *symbols);

/* Take the dither off, and multiply by the step. */
FC_API void fc_undither(
    const int32_t *symbols, size_t count, double step, uint32_t seed, uint32_t first, float *values);

/* ---------------------------------------------------------------- small dense integers: rans.c */

/*
 * Vectors of which most entries are not zero, such as the coordinates of a subspace.
 *
 * symbols: integers of `width` bytes each, 1, 2 or 4, in this machine's order. Of 1 byte, -128 is none.
 * count: at most 2**28.
 * dithered: whether they were rounded with the dither that both ends draw from `seed`.
 * room: memory of fc_rans_room() bytes that begins at a multiple of 4. If it is to be kept, it must be
 *     zeros before its first use, and later calls are quicker.
 *
 * For microcontrollers, small.c with FC_SMALL defined: `width` is 2, `count` at most 65,535, and no
 * room is kept.
 */

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

/* ------------------------------------------------------- mini-batches of many clients: batches.c */

/*
 * words, ends: the clients' seeds as 32-bit words, one client's behind the other's, and where each ends.
 * rows: how many rows each client has.
 * size, least: of a batch; what is left over is filled up from the epoch's first rows to the least.
 * width: room of a batch, at least its rows; steps: at least the batches of any client.
 */
typedef struct {
    const uint32_t *words, *ends, *rows;
    uint64_t clients, steps, width;
    uint32_t epochs, size, least;
} fc_batches;

/*
 * Draw the batches of each client as numpy's default_rng(seed).permutation(rows) orders its rows, anew
 * in each epoch.
 *
 * order: memory for the most rows of a client.
 * chosen, weights: of shape (steps, clients, width): the rows, counted through all clients, and one by
 *     the batch's length; what fills up has the client's first row, and weight 0.
 */
FC_API void fc_draw_batches(
    const fc_batches *about, int64_t *order, int64_t *chosen, float *weights);

#endif
