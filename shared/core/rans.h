/*
 * What the files of the small integers' coder share; the reference is shared/frugalfl/codec/rans.py.
 *
 * Integers only, and no division of 64 bits, so that all of it is small on a Cortex-M0 too.
 */
#ifndef FRUGALFL_RANS_H
#define FRUGALFL_RANS_H

#include "frugalfl_core.h"
#include "thresholds.h"

/* FC_SMALL, for microcontrollers: symbols are of 2 bytes and few, and nothing is kept between calls. */

/* What is called from several places: there small is worth more than quick. */
#ifdef FC_SMALL
#define RANS_OFTEN __attribute__((noinline)) static
#else
#define RANS_OFTEN static inline
#endif

/*
 * A table is a row of 16-bit numbers: how many places it has (0: not made yet), then the sum of the
 * frequencies before each place, then 2**14. Places are the symbols in rising order, the one that says
 * "beyond" last.
 */
enum {
    RANS_BITS = 14,
    RANS_WHOLE = 1 << RANS_BITS,
    RANS_LEAST = 1 << 15, /* the state begins and ends with it, and is below 256 times it between */
    RANS_HEAD = 4,        /* bytes: the table, the state */
    RANS_MOST = 255,      /* cells to either side of the middle one */
    RANS_CELLS = 8,       /* that a dithered symbol has */
    RANS_REACH = 32,      /* of a dithered table, at most */
    RANS_STRIDE = 2 * RANS_REACH + 4,
    RANS_SLOT = RANS_CELLS * RANS_STRIDE, /* of a byte's tables: eight dithered ones, or one */
    RANS_PLACES = 128,                    /* widths */
    RANS_TRIED = 4,                       /* of them to either side of the likeliest */
    RANS_LOG = 28,                        /* bits of a logarithm behind the point */
    RANS_NEAR = 8,                        /* upper bits of a slot that a place is known for */
    RANS_BEYOND = 16,                     /* bits that a symbol beyond the table costs about */
    RANS_CHUNK = 65535,                   /* symbols that are counted in 16 bits */
#ifdef FC_SMALL
    RANS_COUNT = RANS_CHUNK, /* symbols, at most */
#else
    RANS_COUNT = 1 << 28,
#endif
    RANS_VARINT = 5, /* bytes of one, at most */
};

/* What a symbol costs before its logarithm is taken off, and one beyond the table (bits, fixed point). */
#define RANS_BITS_COST ((uint64_t)RANS_BITS << RANS_LOG)
#define RANS_BEYOND_COST ((uint64_t)(RANS_BITS + RANS_BEYOND) << RANS_LOG)

/* What is needed for one byte's tables at a time. */
struct rans_work {
    uint32_t below[RANS_MOST + 2]; /* weights of the cells from 0 up to here, together */
    uint16_t tables[RANS_SLOT];
    uint16_t seen[RANS_SLOT]; /* how often each symbol occurs, by dither */
};

/* What is worth keeping between calls. */
struct rans_kept {
    struct rans_work work;
    uint32_t number;                                        /* of the byte that `near` is of, and */
    uint32_t dithered;                                      /* 1 more than whether it is dithered */
    uint16_t near[RANS_CELLS << RANS_NEAR];                 /* by dither and a slot's upper bits: */
                                                            /* a place at its symbol's, or before */
    uint32_t logs[1 << 16]; /* of integers; 0: not known yet */
    uint16_t tables[2][2 * RANS_PLACES][RANS_SLOT];
};

/* The vector at hand. */
struct rans_vector {
    void *symbols;
    uint32_t width, count; /* bytes a symbol: 1, 2 or 4; symbols */
    uint32_t dithered;     /* whether they were rounded with a dither */
    uint32_t mixed;        /* the seed of the dither, as threshold_word wants it */
    uint32_t limit;        /* no table has a symbol beyond it */
    uint32_t cells;        /* that a symbol has */
    uint32_t last;         /* where the table of the last dither begins */
    uint32_t most;         /* the largest magnitude, once rans_best has looked */
    struct rans_work *work;
    struct rans_kept *kept; /* NULL: there is no room for it */
};

static inline uint32_t rans_width(const struct rans_vector *v)
{
#ifdef FC_SMALL
    (void)v;
    return 2;
#else
    return v->width;
#endif
}

static inline struct rans_kept *rans_kept(const struct rans_vector *v)
{
#ifdef FC_SMALL
    (void)v;
    return NULL;
#else
    return v->kept;
#endif
}

static inline int32_t rans_get(const struct rans_vector *v, uint32_t i)
{
    if (rans_width(v) == 4)
        return ((const int32_t *)v->symbols)[i];
    return rans_width(v) == 2 ? ((const int16_t *)v->symbols)[i] : ((const int8_t *)v->symbols)[i];
}

static inline void rans_put(const struct rans_vector *v, uint32_t i, int32_t symbol)
{
    if (rans_width(v) == 4)
        ((int32_t *)v->symbols)[i] = symbol;
    else if (rans_width(v) == 2)
        ((int16_t *)v->symbols)[i] = (int16_t)symbol;
    else
        ((int8_t *)v->symbols)[i] = (int8_t)symbol;
}

/* The least number of the vector's width, which marks a symbol beyond the table. */
static inline int32_t rans_mark(const struct rans_vector *v)
{
    return -(int32_t)(0x7FFFFFFFu >> (32 - 8 * rans_width(v))) - 1;
}

static inline uint32_t rans_magnitude(int32_t symbol)
{
    return symbol < 0 ? 0u - (uint32_t)symbol : (uint32_t)symbol;
}

/* Where an entry's table, or count, begins among those of all dithers: its own, in eighths of a step. */
RANS_OFTEN uint32_t rans_row(const struct rans_vector *v, uint32_t i)
{
    return v->dithered ? RANS_STRIDE * (threshold_word(v->mixed, i) >> 29) : 0;
}

/* A condition that no processor guesses: it is to choose a number, not a way. */
#if defined(__GNUC__) && !defined(__clang__)
#define RANS_EITHER(condition) __builtin_expect_with_probability((condition), 1, 0.5)
#else
#define RANS_EITHER(condition) (condition)
#endif

/* Of a place in a table. */
static inline uint32_t rans_start(const uint16_t *table, uint32_t place)
{
    return table[1 + place];
}

static inline uint32_t rans_frequency(const uint16_t *table, uint32_t place)
{
    return rans_start(table, place + 1) - rans_start(table, place);
}

/* How much less likely a cell is than the one before it (16-bit fixed point). */
static uint32_t rans_narrow(uint32_t place);

/* The tables of a byte, one for each dither. */
static const uint16_t *rans_tables(const struct rans_vector *v, uint32_t number);

/* The byte of the table under which the symbols are shortest; -1 if all of them are zero. */
static int32_t rans_best(struct rans_vector *v);

#endif
