/*
 * Encodes the dense tensors of a frame, in steps: in between, the caller chooses classes and levels
 * (entropy/tensor_statistics.py: floats, which no decoder needs). Tensor by tensor:
 *
 * 1. fc_dense_survey counts lines and lists the nonzeros; the caller chooses classes;
 * 2. fc_dense_pairs counts nonzeros by pair of classes; the caller chooses their levels;
 * 3. fc_dense_sizes counts sizes by bucket; the caller chooses their levels;
 * 4. fc_dense_code codes the tables and collects the lanes' decisions, a byte each.
 *
 * At the end fc_lanes_write writes the lanes, backwards as rANS needs.
 */
#include "dense.h"

/* A decision: the index of its chance, and whether it is 1. */
enum {
    FC_ONE = 0x80,
    FC_SIGN_CODE = 64, /* sign classes follow the 64 levels */
    FC_EVEN_CODE = 79, /* an even chance */
    FC_MOST_EXPONENT = 31,
};

/* The encoder of one frame; the caller's memory, which must not move. */
struct fc_dense_frame {
    struct fc_coder scalar;
    struct fc_tables tables;
};

size_t fc_dense_frame_room(void)
{
    return sizeof(struct fc_dense_frame);
}

int fc_dense_start(
    void *memory, const uint8_t *dense, uint32_t tensors, uint8_t *out, size_t out_size)
{
    struct fc_dense_frame *f = memory;
    fc_counts map = {2, 2};
    if (out_size == 0)
        return FC_FULL;
    f->scalar = fc_writing(out, out_size);
    fc_start_tables(&f->tables);
    for (uint32_t t = 0; t < tensors; t++)
        fc_bit(&f->scalar, map, dense[t] != 0, 1);
    return f->scalar.status;
}

uint32_t fc_dense_survey(
    const int32_t *symbols, uint32_t rows, uint32_t cols, const struct fc_lines *lines,
    const struct fc_nonzeros *found)
{
    uint32_t n = 0, *places = found->places;
    int32_t *values = found->values;
    fc_zero(lines->by_col, cols * sizeof *lines->by_col);
    for (uint32_t r = 0; r < rows; r++, symbols += cols) {
        const uint32_t first = n;
        uint32_t minus = 0;
        if (n > found->most || cols > found->most - n)
            for (uint32_t c = 0, more = 0; c < cols; c++) {
                more += symbols[c] != 0;
                if (more > found->most || n > found->most - more)
                    return UINT32_MAX; /* more than there is room for */
            }
        for (uint32_t c = 0; c < cols; c++) {
            const int32_t value = symbols[c];
            places[n] = c; /* one entry more than there are nonzeros */
            values[n] = value;
            n += value != 0;
        }
        for (uint32_t i = first; i < n; i++) {
            minus += values[i] < 0;
            lines->by_col[places[i]]++;
        }
        lines->by_row[r] = n - first;
        lines->minus[r] = minus;
    }
    return n;
}

void fc_dense_pairs(
    uint32_t rows, const struct fc_lines *lines, const uint32_t *columns, uint32_t *ones)
{
    fc_zero(ones, 256 * sizeof *ones);
    for (uint32_t r = 0; r < rows; r++) {
        uint32_t *of_row = ones + 16 * (size_t)lines->row_class[r];
        for (uint32_t i = 0; i < lines->by_row[r]; i++)
            of_row[lines->col_class[*columns++]]++;
    }
}

FC_INLINE uint32_t fc_size_of(int32_t value)
{
    return value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
}

uint64_t fc_dense_sizes(
    uint32_t rows, const struct fc_lines *lines, const struct fc_nonzeros *found,
    const uint8_t *levels, uint32_t *sizes, uint32_t *exponents)
{
    const uint32_t *column = found->places;
    const int32_t *value = found->values;
    fc_zero(sizes, 16 * 16 * sizeof *sizes);
    fc_zero(exponents, (FC_MOST_EXPONENT + 1) * sizeof *exponents);
    for (uint32_t r = 0; r < rows; r++) {
        const uint8_t *level = levels + 16 * (size_t)lines->row_class[r];
        for (uint32_t i = 0; i < lines->by_row[r]; i++) {
            const uint32_t size = fc_size_of(*value++);
            const uint32_t bucket = level[lines->col_class[*column++]] >> 2u;
            sizes[16 * bucket + fc_least(size, FC_UNARY + 1)]++;
            if (size > FC_UNARY)
                exponents[fc_bits_of(size - FC_UNARY) - 1]++;
        }
    }
    uint64_t decisions = 0;
    for (uint32_t i = 0; i < 16 * 16; i++)
        decisions += (uint64_t)fc_least(i & 15, FC_UNARY) * sizes[i];
    for (uint32_t e = 0; e <= FC_MOST_EXPONENT; e++)
        decisions += (uint64_t)exponents[e] * (2 * e + 1);
    return decisions;
}

/* Where the decisions go. */
struct fc_passes {
    uint8_t *next, *first;
    uint64_t *ends, count;
};

FC_INLINE void fc_end_pass(struct fc_passes *passes)
{
    passes->ends[passes->count++] = (uint64_t)(passes->next - passes->first);
}

/* Values of 4 bits, the first bit first: the tree's levels, and a pass for each bit. */
static void fc_code_classes(
    struct fc_dense_frame *f, struct fc_passes *passes, const uint8_t *values, uint32_t count,
    const uint8_t *levels)
{
    for (uint32_t depth = 0; depth < 4; depth++) {
        const uint8_t *level = levels + (1u << depth) - 1;
        for (uint32_t i = 0; i < 1u << depth; i++)
            fc_level(&f->scalar, &f->tables, FC_TREE, FC_EVEN, level[i], 1);
        uint8_t *restrict next = passes->next;
        for (uint32_t i = 0; i < count; i++) {
            const uint32_t one = values[i] >> (3 - depth) & 1;
            next[i] = (uint8_t)(level[values[i] >> (4 - depth)] | one << 7);
        }
        passes->next += count;
        fc_end_pass(passes);
    }
}

/* Which cells of the lines that are not empty are nonzero. `line`: room for 16 rows of them. */
static void fc_code_cells(
    struct fc_passes *passes, const struct fc_lines *lines, uint32_t rows, uint32_t cols,
    const uint32_t *column, const uint8_t *levels, uint8_t *line, uint32_t *live)
{
    uint32_t width = 0, made = 0;
    for (uint32_t c = 0; c < cols; c++) {
        live[c] = width;
        width += lines->col_class[c] != 0;
    }
    for (uint32_t r = 0; r < rows; r++) {
        const uint32_t class = lines->row_class[r];
        const uint8_t *level = levels + 16 * (size_t)class;
        uint8_t *chances = line + (size_t)class * width, *out = passes->next;
        if (class == 0)
            continue;
        for (uint32_t c = 0; !(made >> class & 1) && c < cols; c++)
            if (lines->col_class[c])
                chances[live[c]] = level[lines->col_class[c]];
        made |= 1u << class;
        for (uint32_t i = 0; i < width; i++)
            out[i] = chances[i];
        for (uint32_t i = 0; i < lines->by_row[r]; i++)
            out[live[*column++]] |= FC_ONE;
        passes->next += width;
    }
    fc_end_pass(passes);
}

static void fc_code_signs(
    struct fc_passes *passes, const struct fc_lines *lines, uint32_t rows, const int32_t *value,
    uint8_t **raw)
{
    for (uint32_t r = 0; r < rows; r++) {
        const uint32_t count = lines->by_row[r];
        const uint32_t class = count ? lines->sign_class[r] : 0;
        const uint8_t code = class == FC_RAW_SIGN ? 0 : (uint8_t)(FC_SIGN_CODE + class);
        const uint32_t shift = class == FC_RAW_SIGN ? 0 : 7;
        uint8_t **end = class == FC_RAW_SIGN ? raw : &passes->next, *restrict next = *end;
        for (uint32_t i = 0; i < count; i++)
            next[i] = (uint8_t)(code | ((uint32_t)value[i] >> 31) << shift);
        *end += count;
        value += count;
    }
    fc_end_pass(passes);
}

/* What is beyond a size of 14: exponents in unary, then the bits below the first. */
static void fc_code_excess(
    struct fc_dense_frame *f, struct fc_passes *passes, const uint32_t *sizes, uint32_t count,
    const uint8_t *tail)
{
    uint32_t exponent = 0;
    for (uint32_t left = count; left; exponent++) {
        left = 0;
        fc_level(&f->scalar, &f->tables, FC_TAIL, FC_EVEN, tail[exponent], 1);
        for (uint32_t i = 0; i < count; i++) {
            const uint32_t own = fc_bits_of(sizes[i] - FC_UNARY) - 1, more = own > exponent;
            if (own >= exponent)
                *passes->next++ = (uint8_t)(tail[exponent] | more << 7);
            left += more;
        }
        fc_end_pass(passes);
    }
    while (exponent-- > 1) {
        for (uint32_t i = 0; i < count; i++) {
            const uint32_t value = sizes[i] - FC_UNARY;
            if (fc_bits_of(value) > exponent)
                *passes->next++ = (uint8_t)(FC_EVEN_CODE | (value >> (exponent - 1) & 1) << 7);
        }
        fc_end_pass(passes);
    }
}

/* Sizes in unary; those that go on are kept at the front of the lists, which are overwritten. */
static void fc_code_sizes(
    struct fc_dense_frame *f, struct fc_passes *passes, uint32_t *restrict sizes,
    uint8_t *restrict buckets, uint32_t count, const uint8_t *more)
{
    for (uint32_t size = 1; size <= FC_UNARY; size++, more += 16) {
        uint32_t used = 0, last = FC_EVEN, left = 0;
        uint8_t any = 0, *restrict next = passes->next;
        for (uint32_t i = 0; i < count; i++) {
            used |= 1u << buckets[i];
            any |= sizes[i] > size;
        }
        fc_bit(&f->scalar, f->tables.flags[size], any, 1);
        if (!any)
            return;
        for (uint32_t b = 0; b < 16; b++)
            if (used >> b & 1)
                last = fc_level(&f->scalar, &f->tables, FC_MORE, last, more[b], 1);
        for (uint32_t i = 0; i < count; i++) {
            const uint32_t own = sizes[i], goes_on = own > size;
            const uint8_t bucket = buckets[i];
            *next++ = (uint8_t)(more[bucket] | goes_on << 7);
            sizes[left] = own;
            buckets[left] = bucket;
            left += goes_on;
        }
        passes->next = next;
        fc_end_pass(passes);
        count = left;
    }
    fc_code_excess(f, passes, sizes, count, more);
}

/* Sizes and buckets of the nonzeros, over what was known of them. */
static void fc_list_sizes(
    const struct fc_lines *lines, uint32_t rows, const struct fc_nonzeros *found,
    const uint8_t *levels, uint8_t *buckets)
{
    uint32_t n = 0;
    for (uint32_t r = 0; r < rows; r++) {
        const uint8_t *level = levels + 16 * (size_t)lines->row_class[r];
        for (uint32_t i = 0; i < lines->by_row[r]; i++, n++) {
            buckets[n] = level[lines->col_class[found->places[n]]] >> 2;
            found->places[n] = fc_size_of(found->values[n]);
        }
    }
}

int fc_dense_code(
    void *memory, uint32_t rows, uint32_t cols, const struct fc_lines *lines,
    const struct fc_nonzeros *found, const struct fc_levels *levels,
    struct fc_decisions *decisions, uint8_t *spare)
{
    struct fc_dense_frame *f = memory;
    struct fc_passes passes = {
        decisions->codes + decisions->count, decisions->codes, decisions->ends,
        decisions->passes,
    };
    uint8_t row_used[16] = {0}, col_used[16] = {0}, pairs[16][16];
    uint8_t *raw = decisions->raw + decisions->raws;
    uint32_t live = 0;
    for (uint32_t r = 0; r < rows; r++) {
        row_used[lines->row_class[r]] = 1;
        if (lines->row_class[r])
            spare[live++] = lines->sign_class[r];
    }
    for (uint32_t c = 0; c < cols; c++)
        col_used[lines->col_class[c]] = 1;
    for (uint32_t i = 0; i < 256; i++)
        pairs[i >> 4][i & 15] = levels->pairs[i];
    fc_code_classes(f, &passes, lines->row_class, rows, levels->trees);
    fc_code_classes(f, &passes, lines->col_class, cols, levels->trees + 15);
    fc_code_classes(f, &passes, spare, live, levels->trees + 30);
    fc_pair_levels(&f->scalar, &f->tables, row_used, col_used, pairs, 1);
    fc_code_cells(&passes, lines, rows, cols, found->places, levels->pairs, spare,
                  decisions->live);
    fc_code_signs(&passes, lines, rows, found->values, &raw);
    fc_list_sizes(lines, rows, found, levels->pairs, spare);
    fc_code_sizes(f, &passes, found->places, spare, found->count, levels->more);
    decisions->count = (uint64_t)(passes.next - passes.first);
    decisions->passes = passes.count;
    decisions->raws = (uint64_t)(raw - decisions->raw);
    return f->scalar.status;
}

/* How often each code is among every eighth decision of each pass: what lanes cost is told from. */
void fc_lanes_sample(const struct fc_decisions *decisions, uint32_t *counts)
{
    fc_zero(counts, 256 * sizeof *counts);
    for (uint64_t pass = 0, i = 0; pass < decisions->passes; pass++) {
        const uint64_t end = decisions->ends[pass];
        for (; i < end; i += 8)
            counts[decisions->codes[i]]++;
        i = end;
    }
}

/* What pushing a decision needs of its chance. */
struct fc_push {
    uint64_t magic; /* of the division by size */
    uint32_t bound, gap, start;
};

static struct fc_push fc_push_of(uint32_t code)
{
    const uint32_t index = code & 0x7F;
    const uint32_t ones = index < FC_SIGN_CODE ? FC_LEVELS[index]
        : index < FC_EVEN_CODE ? FC_SIGN_LEVELS[index - FC_SIGN_CODE] : 2048;
    const uint32_t size = code & FC_ONE ? ones : 4096 - ones;
    /* With ceil(2**44 / size), x * magic >> 44 is x / size for every x below size << 20, and the
     * product is below 2**64: for the excess e < size, x * e < 2**44 and (x + 1) * 2**44 / size
     * is at most 2**64. */
    const struct fc_push push = {
        (((uint64_t)1 << 44) + size - 1) / size, size << 20, 4096 - size,
        code & FC_ONE ? 0 : ones,
    };
    return push;
}

struct fc_writer {
    uint32_t *state, mask;
    uint8_t *out;
    size_t at, size;
};

FC_INLINE void fc_write_word(struct fc_writer *w, uint32_t word)
{
    if (w->at + 2 <= w->size) {
        w->out[w->at] = (uint8_t)word;
        w->out[w->at + 1] = (uint8_t)(word >> 8);
    }
    w->at += 2;
}

FC_INLINE void fc_push(struct fc_writer *w, uint64_t index, const struct fc_push *push)
{
    uint32_t *state = w->state + (index & w->mask), x = *state;
    if (x >= push->bound) {
        fc_write_word(w, x);
        x >>= 16;
    }
    *state = x + (uint32_t)(x * push->magic >> 44) * push->gap + push->start;
}

size_t fc_lanes_room(void)
{
    return 64 + 256 * sizeof(struct fc_push) + (sizeof(uint32_t) << FC_MOST_LOG_LANES);
}

int fc_lanes_write(
    const struct fc_decisions *decisions, uint32_t log_lanes, uint8_t *out, size_t out_size,
    size_t *written, void *memory)
{
    struct fc_room room = fc_open_room(memory);
    struct fc_push *pushes = fc_part(&room, 256, sizeof *pushes);
    uint32_t *states = fc_part(&room, 1u << log_lanes, sizeof *states);
    struct fc_writer w = {states, (1u << log_lanes) - 1, out, 0, out_size};
    const uint64_t places = (uint64_t)16 << log_lanes;
    const uint64_t filled = decisions->raws < places ? decisions->raws : places;
    for (uint32_t code = 0; code < 256; code++)
        if ((code & 0x7F) <= FC_EVEN_CODE)
            pushes[code] = fc_push_of(code);
    for (uint32_t lane = 0; lane <= w.mask; lane++)
        states[lane] = 1 << 16;
    for (uint64_t i = 0; i < filled; i++)
        states[i >> 4] |= (uint32_t)decisions->raw[i] << (i & 15);
    for (uint64_t i = decisions->raws; i-- > filled;)
        fc_push(&w, i - filled, pushes + (FC_EVEN_CODE | decisions->raw[i] << 7));
    for (uint64_t pass = decisions->passes; pass-- > 0;) {
        const uint64_t first = pass ? decisions->ends[pass - 1] : 0;
        for (uint64_t i = decisions->ends[pass]; i-- > first;)
            fc_push(&w, i - first, pushes + decisions->codes[i]);
    }
    for (uint32_t lane = w.mask + 1; lane-- > 0;) {
        fc_write_word(&w, states[lane] >> 16);
        fc_write_word(&w, states[lane]);
    }
    *written = w.at;
    return w.at > w.size ? FC_FULL : FC_OK;
}
