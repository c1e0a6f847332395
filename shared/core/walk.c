/*
 * Where the nonzeros of a round are, their signs and sizes: entropy/scatter.py and walk.py.
 *
 * A round is an arrival process: blocks of up to one bit of hazard are empty or not, and a hit is
 * placed in its block in proportion to hazard.
 */
#include "coder.h"
#include "scales.h"

enum {
    FC_BLOCK = 1 << 16,
    FC_MOST_HITS = 1 << 15,
    FC_MOST_STEP = 1 << 12, /* so many hazards more than a block are below 2**32 */
    FC_TALLY = 4,
};

struct fc_hit {
    uint32_t at, piece, place; /* its cell in the order, its piece, its place in the round */
    uint32_t cell;             /* its column in the piece and its logarithm, as in the order */
    int32_t value;
};

struct fc_walk {
    struct fc_scales *scales;
    struct fc_hit *hits;       /* round after round */
    uint32_t ends[FC_ROUNDS];  /* where the hits of each round end */
    int32_t *tally;            /* of each row: plus signs less minus signs */
    fc_counts signs[2 * FC_TALLY + 1], sizes[4][FC_DECISIONS];
};

static void fc_lay_out_walk(
    struct fc_walk *w, const struct fc_order *order, uint32_t hits, struct fc_room *room)
{
    w->tally = fc_part(room, order->rows, sizeof *w->tally);
    w->hits = fc_part(room, hits, sizeof *w->hits);
}

static void fc_start_walk(struct fc_walk *w, struct fc_scales *scales)
{
    w->scales = scales;
    fc_zero(w->tally, scales->order->rows * sizeof *w->tally);
    fc_start_counts(w->signs, 2 * FC_TALLY + 1);
    fc_start_counts(w->sizes[0], 4 * FC_DECISIONS);
}

/* The chance (of 65536) that cells with this summed hazard hold a nonzero. */
FC_INLINE uint32_t fc_hit_chance(uint32_t hazard)
{
    const uint32_t i = hazard >> 10 & 63;
    const uint32_t empty =
        FC_EXP2[i] - ((FC_EXP2[i] - FC_EXP2[i + 1]) * (hazard & 1023) >> 10);
    return (uint32_t)fc_clamp((int32_t)(65536 - (empty >> (hazard >> 16))), 2, 65520);
}

/* The last from `low` to below `high` whose sum is at most `most` above `base`; that of low is. */
FC_INLINE uint32_t fc_last_within(
    const uint32_t *sums, uint32_t low, uint32_t high, uint32_t base, uint32_t most)
{
    for (uint32_t left = high - low; left > 1;) {
        const uint32_t half = left / 2;
        low += sums[low + half] - base <= most ? half : 0;
        left -= half;
    }
    return low;
}

/* Where the block that starts there ends. */
FC_INLINE uint32_t fc_block_end(const uint32_t *sums, uint32_t start, uint32_t stop)
{
    const uint32_t base = sums[start];
    uint32_t low = start, step = 64;
    while (step <= stop - low && sums[low + step] - base <= FC_BLOCK) {
        low += step;
        step = step < FC_MOST_STEP ? 2 * step : step;
    }
    const uint32_t high = step <= stop - low ? low + step : stop + 1;
    const uint32_t end = fc_last_within(sums, low, high, base, FC_BLOCK);
    return end > start ? end : start + 1;
}

/* Sign and size of a nonzero. */
FC_INLINE int32_t fc_value(
    struct fc_walk *w, struct fc_coder *c, uint32_t row, uint32_t hazard, int32_t known,
    const int encode)
{
    const int32_t context = fc_clamp(w->tally[row], -FC_TALLY, FC_TALLY) + FC_TALLY;
    const uint32_t minus = fc_bit(c, w->signs[context], known < 0, encode);
    fc_counts *counts =
        w->sizes[(hazard >= 1 << 12) + (hazard >= 1 << 14) + (hazard >= 1 << 16)];
    const uint32_t size = known < 0 ? 0u - (uint32_t)known : (uint32_t)known;
    w->tally[row] += minus ? -1 : 1;
    const uint64_t more = fc_integer(c, counts, encode ? size - 1 : 0, encode);
    if (encode)
        return known;
    if (more + 1 > 0x7FFFFFFFu + (uint64_t)minus) {
        fc_fail(c, FC_LARGE);
        return 0;
    }
    return (int32_t)(minus ? -(int64_t)(more + 1) : (int64_t)(more + 1));
}

/* The place of a block's hit: in proportion to hazard, which becomes the cell's own. */
FC_INLINE uint32_t fc_pick(
    const uint32_t *sums, struct fc_coder *c, uint32_t start, uint32_t end, uint32_t known,
    uint32_t *hazard, const int encode)
{
    const uint32_t base = sums[start], unit = c->range / *hazard;
    uint32_t place = known;
    if (!encode) {
        const uint32_t target = c->code / unit;
        if (target >= *hazard) {
            fc_fail(c, FC_CORRUPT);
            return start;
        }
        place = fc_last_within(sums, start, end, base, target);
    }
    *hazard = sums[place + 1] - sums[place];
    if (encode)
        fc_raise(c, unit * (sums[place] - base));
    else
        c->code -= unit * (sums[place] - base);
    c->range = unit * *hazard;
    fc_settle(c, encode);
    return place;
}

/* Find the piece of a decoded hit; pieces before `piece` cannot have it. */
static void fc_find_piece(
    const struct fc_scales *s, uint32_t round, struct fc_hit *hit, uint32_t piece)
{
    const uint32_t *place = s->place, pieces = s->order->pieces;
    uint32_t step = 1;
    while (step <= pieces - piece && place[piece + step] <= hit->place) {
        piece += step;
        step *= 2;
    }
    const uint32_t high = step <= pieces - piece ? piece + step : pieces;
    hit->piece = fc_last_within(place, piece, high, 0, hit->place);
    hit->at = hit->place - place[hit->piece] + fc_begins(s->order->piece + hit->piece, round);
    hit->cell = s->order->cell[hit->at];
}

/* Code one round; its hits are those from `hits` on. Returns where they end. */
FC_INLINE uint32_t fc_walk_round(
    struct fc_walk *w, struct fc_coder *c, uint32_t round, uint32_t stop, uint32_t hits,
    const int encode)
{
    const uint32_t *sums = w->scales->sums;
    uint32_t start = 0, piece = 0;
    while (start < stop && !c->status) {
        const uint32_t end = fc_block_end(sums, start, stop);
        uint32_t hazard = sums[end] - sums[start], place = start;
        struct fc_hit *hit = w->hits + hits;
        const int here = encode && hits < w->ends[round] && hit->place < end;
        if (!fc_chance(c, fc_hit_chance(hazard), (uint32_t)here, encode)) {
            start = end;
            continue;
        }
        if (end > start + 1)
            place = fc_pick(sums, c, start, end, encode ? hit->place : 0, &hazard, encode);
        if (!encode) {
            if (hits == FC_MOST_HITS)
                fc_fail(c, FC_MANY);
            if (c->status)
                break;
            hit->place = place;
            fc_find_piece(w->scales, round, hit, piece);
            piece = hit->piece;
        }
        const uint32_t row = w->scales->order->piece[hit->piece].row;
        hit->value = fc_value(w, c, row, hazard, encode ? hit->value : 0, encode);
        hits++;
        start = place + 1;
    }
    return hits;
}

/* Encoding, the places in a round of the hits that are known. */
static void fc_place_hits(struct fc_walk *w, uint32_t round, uint32_t hits)
{
    const struct fc_scales *s = w->scales;
    for (; hits < w->ends[round]; hits++) {
        struct fc_hit *hit = w->hits + hits;
        hit->place =
            hit->at - fc_begins(s->order->piece + hit->piece, round) + s->place[hit->piece];
    }
}

static void fc_count_hits(const struct fc_walk *w, uint32_t first, uint32_t end)
{
    const struct fc_order *order = w->scales->order;
    for (uint32_t tensor = 0; first < end; first++) {
        const struct fc_hit *hit = w->hits + first;
        while (hit->piece >= order->tensor[tensor + 1])
            tensor++;
        fc_count_hit(w->scales, tensor, hit->piece, hit->cell);
    }
}

/* Code the rounds whose cells are listed; `ends` then says where the hits of each end. */
FC_INLINE void fc_walk_listed(struct fc_walk *w, struct fc_coder *c, const int encode)
{
    for (uint32_t round = 0, hits = 0; round < w->scales->order->listed; round++) {
        const uint32_t first = hits, cells = fc_predict(w->scales, round);
        if (encode)
            fc_place_hits(w, round, hits);
        hits = fc_walk_round(w, c, round, cells, hits, encode);
        if (c->status)
            return;
        w->ends[round] = hits;
        if (round < FC_ROUNDS - 1 && cells) {
            fc_count_hits(w, first, hits);
            fc_learn(w->scales, round);
        }
    }
}
