/* Which table small integers are shortest under: the same on every machine, as it is all integers. */
#include "rans.h"

/* The logarithm to base 2 of the 32 highest bits of n > 0. */
static uint64_t rans_log(uint64_t n)
{
    uint32_t whole = 31, log = 0;
    for (; n >> 32; n >>= 1)
        whole++;
    for (; !(n >> 31); n <<= 1)
        whole--;
    for (uint32_t bit = 0; bit < RANS_LOG; bit++) {
        n = n * n >> 31;
        log = log << 1 | (uint32_t)(n >> 32);
        n >>= n >> 32;
    }
    return (uint64_t)whole << RANS_LOG | log;
}

static uint32_t rans_log_of(struct rans_kept *kept, uint32_t frequency)
{
    if (kept && kept->logs[frequency])
        return kept->logs[frequency];
    const uint32_t log = (uint32_t)rans_log(frequency);
    if (kept)
        kept->logs[frequency] = log;
    return log;
}

/* The place of a rank: ranks go from wide to narrow, places only by eights. */
static uint32_t rans_ranked(uint32_t rank)
{
    return rank ^ 7;
}

/* Whether a rank's narrowness has a logarithm nearer to this than the rank before; then so have all before. */
static int rans_nearer(uint32_t rank, int64_t wanted)
{
    const uint32_t place = rans_ranked(rank), before = rans_ranked(rank - 1);
    const int64_t sum = (int64_t)(rans_log(rans_narrow(before)) + rans_log(rans_narrow(place)));
    return 2 * wanted < sum || (2 * wanted == sum && place < before);
}

/* The first place of which the narrowness has the logarithm nearest to this. */
static uint32_t rans_place_near(int64_t wanted)
{
    uint32_t rank = 0;
    for (uint32_t step = RANS_PLACES / 2; step; step /= 2)
        if (rans_nearer(rank + step, wanted))
            rank += step;
    uint32_t place = rans_ranked(rank);
    while (place % 8 && rans_narrow(place - 1) == rans_narrow(place))
        place--;
    return place;
}

/* Of all symbols' sizes, in cells. */
struct rans_sizes {
    uint64_t sum, squares; /* held at RANS_HUGE: from there on every mean is beyond every table */
    uint32_t most;         /* the largest magnitude of a symbol */
};

static uint64_t rans_held(uint64_t sum)
{
    return sum < RANS_HUGE ? sum : RANS_HUGE;
}

static struct rans_sizes rans_measure(const struct rans_vector *v)
{
    struct rans_sizes sizes = {0, 0, 0};
    const uint32_t shift = v->dithered ? 3 : 0;
    for (uint32_t i = 0; i < v->count; i++) {
        const uint32_t size = rans_magnitude(rans_get(v, i));
        const uint32_t part = (size >> 24 ? 1u << 24 : size) << shift;
        sizes.sum = rans_held(sizes.sum + ((uint64_t)size << shift));
        sizes.squares = rans_held(sizes.squares + (uint64_t)part * part);
        sizes.most = size > sizes.most ? size : sizes.most;
    }
    return sizes;
}

/* A Laplace's cells fall off by one in so many as their mean, a normal one's by half its power. */
static uint32_t rans_likeliest(const struct rans_sizes *sizes, uint32_t count, uint32_t form)
{
    const uint64_t n = count, one = (uint64_t)16 << RANS_LOG;
    const uint64_t over = form ? 5 * n : 2 * n;
    const uint64_t under = form ? 10 * sizes->squares + n : 2 * sizes->sum + n;
    return rans_place_near((int64_t)(rans_log(over) + one - rans_log(under)));
}

/* Count the symbols from `first` on, so many as 16 bits can; return where it ended. */
static uint32_t rans_count(const struct rans_vector *v, uint32_t first)
{
    const uint32_t limit = v->limit;
    const uint32_t end = v->count - first < RANS_CHUNK ? v->count : first + RANS_CHUNK;
    for (uint32_t i = 0; i < RANS_SLOT; i++)
        v->work->seen[i] = 0;
    for (uint32_t i = first; i < end; i++) {
        const uint32_t cell = (uint32_t)rans_get(v, i) + limit;
        v->work->seen[rans_row(v, i) + (cell <= 2 * limit ? cell : 2 * limit + 1)]++;
    }
    return end;
}

/* The length of the counted symbols with one dither, under its table (bits, fixed point). */
static uint64_t rans_cost(
    const struct rans_vector *v, const uint16_t *seen, const uint16_t *table, uint32_t most)
{
    const uint32_t places = table[0], reach = places / 2 - 1;
    const uint64_t whole = (uint64_t)RANS_BITS << RANS_LOG;
    uint64_t cost = 0, beyond = seen[2 * v->limit + 1];
    for (uint32_t cell = v->limit - most; cell <= v->limit + most; cell++) {
        if (seen[cell] == 0)
            continue;
        const uint32_t place = cell + reach - v->limit; /* wraps if it is before the first */
        if (place > 2 * reach)
            beyond += seen[cell];
        else
            cost += seen[cell] * (whole - rans_log_of(v->kept, rans_frequency(table, place)));
    }
    return cost + beyond * (whole + ((uint64_t)RANS_BEYOND << RANS_LOG));
}

/* Bytes that are tried, and what each costs. */
struct rans_trial {
    uint32_t first[2], last[2]; /* places of each form */
    uint64_t cost[2][2 * RANS_TRIED + 1];
};

static struct rans_trial rans_try_near(const struct rans_sizes *sizes, uint32_t count)
{
    struct rans_trial trial = {{0}, {0}, {{0}}};
    for (uint32_t form = 0; form < 2; form++) {
        const uint32_t place = rans_likeliest(sizes, count, form), last = place + RANS_TRIED;
        trial.first[form] = place < RANS_TRIED ? 0 : place - RANS_TRIED;
        trial.last[form] = last < RANS_PLACES ? last : RANS_PLACES - 1;
    }
    return trial;
}

/* Add what the counted symbols cost under a byte's tables. */
static uint64_t rans_costs(const struct rans_vector *v, uint32_t number, uint32_t most)
{
    const uint16_t *tables = rans_tables(v, number), *seen = v->work->seen;
    uint64_t cost = 0;
    for (uint32_t row = 0; row < (v->dithered ? RANS_SLOT : 1); row += RANS_STRIDE)
        cost += rans_cost(v, seen + row, tables + row, most);
    return cost;
}

static int32_t rans_cheapest(const struct rans_trial *trial)
{
    uint64_t least = UINT64_MAX;
    uint32_t best = 0;
    for (uint32_t form = 0; form < 2; form++)
        for (uint32_t place = trial->first[form]; place <= trial->last[form]; place++) {
            const uint64_t cost = trial->cost[form][place - trial->first[form]];
            best = cost < least ? place << 1 | form : best;
            least = cost < least ? cost : least;
        }
    return (int32_t)best;
}

static int32_t rans_best(const struct rans_vector *v)
{
    const struct rans_sizes sizes = rans_measure(v);
    const uint32_t most = sizes.most < v->limit ? sizes.most : v->limit;
    if (sizes.most == 0)
        return -1;
    struct rans_trial trial = rans_try_near(&sizes, v->count);
    for (uint32_t at = 0; at < v->count;) {
        at = rans_count(v, at);
        for (uint32_t form = 0; form < 2; form++)
            for (uint32_t place = trial.first[form]; place <= trial.last[form]; place++)
                trial.cost[form][place - trial.first[form]] +=
                    rans_costs(v, place << 1 | form, most);
    }
    return rans_cheapest(&trial);
}
