/* Which table small integers are shortest under: the same on every machine, as it is all integers. */
#include "rans.h"

/* The logarithm to base 2 of the 32 highest bits of n > 0. */
static uint64_t rans_log(uint64_t n)
{
    uint32_t whole = 63, log = 0;
    for (; !(n >> 63) && whole; whole--)
        n <<= 1;
    n >>= 32;
    for (uint32_t bit = 0; bit < RANS_LOG; bit++) {
        n = n * n >> 31;
        log = log << 1 | (uint32_t)(n >> 32);
        n >>= n >> 32;
    }
    return (uint64_t)whole << RANS_LOG | log;
}

/* The same of an integer below 2**16, in 32 bits. */
static uint32_t rans_log_of(struct rans_kept *kept, uint32_t n)
{
    if (kept && kept->logs[n])
        return kept->logs[n];
    const uint32_t log = (uint32_t)rans_log(n);
    if (kept)
        kept->logs[n] = log;
    return log;
}

/* The first place of which the narrowness has the logarithm nearest to this. */
static uint32_t rans_place_near(struct rans_kept *kept, int64_t wanted)
{
    uint64_t least = UINT64_MAX;
    uint32_t nearest = 0;
    for (uint32_t place = 0; place < RANS_PLACES; place++) {
        const int64_t above = rans_log_of(kept, rans_narrow(place)) - wanted;
        const uint64_t distance = (uint64_t)(above < 0 ? -above : above);
        if (distance < least) {
            least = distance;
            nearest = place;
        }
    }
    return nearest;
}

/* Of all symbols' sizes, in cells. */
struct rans_sizes {
    uint64_t sum, squares; /* the squares' held where their mean is beyond every table */
    uint32_t most;         /* the largest magnitude of a symbol, in steps */
};

static struct rans_sizes rans_measure(const struct rans_vector *v)
{
    struct rans_sizes sizes = {0, 0, 0};
    for (uint32_t i = 0; i < v->count; i++) {
        const uint32_t size = rans_magnitude(rans_get(v, i));
        const uint32_t part = v->cells * (size >> 24 ? 1u << 24 : size);
        sizes.sum += size;
        sizes.squares += sizes.squares >> 56 ? 0 : (uint64_t)part * part;
        sizes.most = size > sizes.most ? size : sizes.most;
    }
    sizes.sum *= v->cells;
    return sizes;
}

/* A Laplace's cells fall off by one in so many as their mean, a normal one's by half its power. */
static uint32_t rans_likeliest(
    const struct rans_vector *v, const struct rans_sizes *sizes, uint32_t form)
{
    const uint32_t n = v->count, over = form ? 5 * n : 2 * n;
    const uint64_t under = form ? 10 * sizes->squares : 2 * sizes->sum;
    const uint64_t whole = (uint64_t)16 << RANS_LOG;
    return rans_place_near(rans_kept(v), (int64_t)(rans_log(over) + whole - rans_log(under + n)));
}

/* Count the symbols from `first` on, so many as 16 bits can; return where it ended. */
static uint32_t rans_count(const struct rans_vector *v, uint32_t first)
{
    const uint32_t limit = v->limit;
    const int all = RANS_COUNT <= RANS_CHUNK || v->count - first <= RANS_CHUNK;
    const uint32_t end = all ? v->count : first + RANS_CHUNK;
    for (uint32_t i = 0; i < RANS_SLOT; i++)
        v->work->seen[i] = 0;
    for (uint32_t i = first; i < end; i++) {
        const uint32_t cell = (uint32_t)rans_get(v, i) + limit;
        v->work->seen[rans_row(v, i) + (cell <= 2 * limit ? cell : 2 * limit + 1)]++;
    }
    return end;
}

/* The length of the counted symbols under a byte's tables (bits, fixed point). */
static uint64_t rans_cost(const struct rans_vector *v, uint32_t number, uint32_t most)
{
    const uint16_t *table = rans_tables(v, number), *seen = v->work->seen;
    uint64_t cost = 0;
    for (uint32_t row = 0; row <= v->last; row += RANS_STRIDE) {
        const uint32_t symbols = table[row] - 1u, first = v->limit - (symbols - 1) / 2;
        /* The cell after the last is of all that no table has; it is not empty only if `most` is the limit. */
        for (uint32_t cell = v->limit - most; cell <= v->limit + most + 1; cell++) {
            const uint32_t often = seen[row + cell], place = cell - first;
            if (often == 0)
                continue;
            uint64_t bits = RANS_BEYOND_COST;
            if (place < symbols)
                bits = RANS_BITS_COST
                       - rans_log_of(rans_kept(v), rans_frequency(table + row, place));
            cost += often * bits;
        }
    }
    return cost;
}

/* List the bytes of about the likeliest widths; return how many they are. */
static uint32_t rans_try(const struct rans_vector *v, const struct rans_sizes *sizes, uint8_t *tried)
{
    uint32_t count = 0;
    for (uint32_t form = 0; form < 2; form++) {
        const uint32_t near = rans_likeliest(v, sizes, form);
        for (uint32_t k = 0; k <= 2 * RANS_TRIED; k++)
            if (near + k >= RANS_TRIED && near + k - RANS_TRIED < RANS_PLACES)
                tried[count++] = (uint8_t)((near + k - RANS_TRIED) << 1 | form);
    }
    return count;
}

static int32_t rans_best(struct rans_vector *v)
{
    const struct rans_sizes sizes = rans_measure(v);
    const uint32_t most = sizes.most < v->limit ? sizes.most : v->limit;
    uint64_t costs[2 * (2 * RANS_TRIED + 1)] = {0};
    uint8_t tried[2 * (2 * RANS_TRIED + 1)];
    uint32_t best = 0;
    v->most = sizes.most;
    if (sizes.most == 0)
        return -1;
    const uint32_t count = rans_try(v, &sizes, tried);
    uint32_t at = 0;
    do {
        at = rans_count(v, at);
        for (uint32_t k = 0; k < count; k++)
            costs[k] += rans_cost(v, tried[k], most);
    } while (RANS_COUNT > RANS_CHUNK && at < v->count);
    for (uint32_t k = 1; k < count; k++)
        best = costs[k] < costs[best] ? k : best;
    return tried[best];
}
