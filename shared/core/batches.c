/*
 * Mini-batches of many clients: what numpy.random.default_rng(seed).permutation(rows) draws for each,
 * cut into batches. numpy's seeding is M. E. O'Neill's seed_seq_fe128 (2015), its generator her PCG
 * XSL-RR 128/64 (2014); numbers up to a bound are drawn by leaving out what is beyond, and the order is
 * Fisher and Yates's, from the last place down.
 */
#include "frugalfl_core.h"

enum { POOL = 4 };

typedef struct {
    uint64_t high, low;
} wide_number;

typedef struct {
    wide_number state, increment;
    uint32_t kept; /* the upper half of the last draw, if it is not used yet */
    int has_kept;
} generator;

static wide_number times(wide_number a, wide_number b)
{
    const uint64_t a0 = (uint32_t)a.low, a1 = a.low >> 32, b0 = (uint32_t)b.low, b1 = b.low >> 32;
    const uint64_t middle = a1 * b0 + (a0 * b0 >> 32), other = a0 * b1 + (uint32_t)middle;
    wide_number product;
    product.high = a1 * b1 + (middle >> 32) + (other >> 32) + a.high * b.low + a.low * b.high;
    product.low = a.low * b.low;
    return product;
}

static wide_number plus(wide_number a, wide_number b)
{
    wide_number sum;
    sum.low = a.low + b.low;
    sum.high = a.high + b.high + (sum.low < a.low);
    return sum;
}

static uint32_t hashed(uint32_t value, uint32_t *constant, uint32_t factor)
{
    value ^= *constant;
    *constant *= factor;
    value *= *constant;
    return value ^ value >> 16;
}

static uint32_t mixed(uint32_t one, uint32_t other)
{
    const uint32_t value = one * 0xca01f9ddu - other * 0x4973f715u;
    return value ^ value >> 16;
}

/* The eight words that numpy.random.SeedSequence makes of a seed's words. */
static void spread_seed(const uint32_t *words, size_t count, uint32_t *made)
{
    const uint32_t first = 0x931e8875u, second = 0x58f38dedu;
    uint32_t pool[POOL], constant = 0x43b0d7e5u;
    for (size_t i = 0; i < POOL; i++)
        pool[i] = hashed(i < count ? words[i] : 0, &constant, first);
    for (size_t from = 0; from < POOL; from++)
        for (size_t to = 0; to < POOL; to++)
            if (from != to)
                pool[to] = mixed(pool[to], hashed(pool[from], &constant, first));
    for (size_t from = POOL; from < count; from++)
        for (size_t to = 0; to < POOL; to++)
            pool[to] = mixed(pool[to], hashed(words[from], &constant, first));
    constant = 0x8b51f9ddu;
    for (size_t i = 0; i < 2 * POOL; i++)
        made[i] = hashed(pool[i % POOL], &constant, second);
}

static void advance(generator *rng)
{
    const wide_number factor = {2549297995355413924u, 4865540595714422341u};
    rng->state = plus(times(rng->state, factor), rng->increment);
}

static generator seeded(const uint32_t *words, size_t count)
{
    uint32_t made[2 * POOL];
    uint64_t pairs[POOL];
    spread_seed(words, count, made);
    for (size_t i = 0; i < POOL; i++)
        pairs[i] = made[2 * i] | (uint64_t)made[2 * i + 1] << 32;
    const wide_number begin = {pairs[0], pairs[1]};
    generator rng = {{0, 0}, {pairs[2] << 1 | pairs[3] >> 63, pairs[3] << 1 | 1}, 0, 0};
    advance(&rng);
    rng.state = plus(rng.state, begin);
    advance(&rng);
    return rng;
}

static uint32_t draw(generator *rng)
{
    if (rng->has_kept) {
        rng->has_kept = 0;
        return rng->kept;
    }
    advance(rng);
    const uint64_t both = rng->state.high ^ rng->state.low;
    const unsigned turned = (unsigned)(rng->state.high >> 58);
    const uint64_t value = both >> turned | both << (-turned & 63);
    rng->kept = (uint32_t)(value >> 32);
    rng->has_kept = 1;
    return (uint32_t)value;
}

static uint32_t draw_up_to(generator *rng, uint32_t most)
{
    uint32_t mask = most, value;
    for (unsigned shift = 1; shift < 32; shift *= 2)
        mask |= mask >> shift;
    do
        value = draw(rng) & mask;
    while (value > most);
    return value;
}

static void draw_order(generator *rng, uint32_t rows, int64_t *order)
{
    for (uint32_t i = 0; i < rows; i++)
        order[i] = i;
    for (uint32_t i = rows; i-- > 1;) {
        const uint32_t other = draw_up_to(rng, i);
        const int64_t held = order[i];
        order[i] = order[other];
        order[other] = held;
    }
}

/* Write one batch; return how many rows it has. */
static uint32_t write_batch(
    const fc_batches *about, const int64_t *order, uint32_t rows, uint32_t start, int64_t first,
    int64_t *chosen)
{
    uint32_t length = rows - start < about->size ? rows - start : about->size;
    for (uint32_t i = 0; i < length; i++)
        chosen[i] = first + order[start + i];
    for (uint32_t i = 0; length < about->least && i < start; i++)
        chosen[length++] = first + order[i];
    return length;
}

FC_API void fc_draw_batches(
    const fc_batches *about, int64_t *order, int64_t *chosen, float *weights)
{
    int64_t first = 0;
    for (size_t client = 0; client < about->clients; client++) {
        const uint32_t rows = about->rows[client], begin = client ? about->ends[client - 1] : 0;
        generator rng = seeded(about->words + begin, about->ends[client] - begin);
        size_t step = 0;
        for (uint32_t epoch = 0; epoch < about->epochs; epoch++) {
            draw_order(&rng, rows, order);
            for (uint64_t start = 0; start < rows; start += about->size, step++) {
                const size_t place = (step * about->clients + client) * about->width;
                const uint32_t length =
                    write_batch(about, order, rows, (uint32_t)start, first, chosen + place);
                for (uint32_t i = 0; i < about->width; i++) {
                    weights[place + i] = i < length ? 1.0f / (float)length : 0.0f;
                    if (i >= length)
                        chosen[place + i] = first;
                }
            }
        }
        for (; step < about->steps; step++) {
            const size_t place = (step * about->clients + client) * about->width;
            for (uint32_t i = 0; i < about->width; i++) {
                chosen[place + i] = first;
                weights[place + i] = 0.0f;
            }
        }
        first += rows;
    }
}
