/* Frames of the range coder, both ways: entropy/coded_tensors.py. */
#include "dense_decode.c"
#include "dense_encode.c"
#include "fields.c"
#include "fields_walk.c"

enum {
    FC_HINTED = 0x80,
    FC_LANED = 0x40,
};

/* What depends on the shapes alone, in memory of the caller's. */
struct fc_shapes {
    struct fc_order order;
    struct fc_field *fields; /* of each tensor, if not all rounds are listed */
};

/* What coding scattered symbols needs, at the beginning of the room. */
struct fc_scattered {
    struct fc_order own;
    const struct fc_order *order; /* that, or the caller's prepared one */
    uint32_t machine;
    struct fc_fields fields;
    struct fc_scales scales;
    struct fc_walk walk;
    struct fc_hit *found; /* encoding: cell by cell */
    uint8_t *spare;
};

/* Lay out the room for these tensors; 0 if their shapes are too large. */
static int fc_lay_out_scattered(
    struct fc_scattered *x, const struct fc_grid *grid, const uint8_t *dense,
    const struct fc_shapes *prepared, uint32_t hits, int encode, struct fc_room *room)
{
    if (prepared == NULL && !fc_lay_out_order(&x->own, grid, dense, FC_ROUNDS, 0, room))
        return 0;
    x->order = prepared ? &prepared->order : &x->own;
    x->machine = grid->machine;
    if (x->order->listed < FC_ROUNDS)
        fc_lay_out_fields_walk(&x->fields, x->order, prepared->fields, room);
    hits = fc_least(fc_least(hits, FC_MOST_HITS), x->order->cells);
    x->spare = fc_part(room, prepared ? 0 : FC_SPARE, 1);
    fc_lay_out_scales(&x->scales, x->order, room);
    fc_lay_out_walk(&x->walk, x->order, hits, room);
    x->found = fc_part(room, encode ? hits : 0, sizeof *x->found);
    return 1;
}

static void fc_start_scattered(
    struct fc_scattered *x, const struct fc_grid *grid, const uint8_t *dense)
{
    if (x->order == &x->own)
        fc_make_order(&x->own, grid, dense, x->spare);
    fc_start_scales(&x->scales, grid->hinted != 0);
    fc_start_walk(&x->walk, &x->scales);
}

static uint32_t fc_cell_of(const struct fc_order *order, const struct fc_hit *hit)
{
    return order->piece[hit->piece].cell + (hit->cell & FC_COL_MASK);
}

/* Write the hits of all rounds in the order of their cells. */
static int fc_merge_hits(const struct fc_walk *w, struct fc_nonzeros *found)
{
    const struct fc_order *order = w->scales->order;
    const struct fc_hit *next[FC_ROUNDS], *end[FC_ROUNDS];
    uint32_t cell[FC_ROUNDS], lists = 0, first = 0;
    for (uint32_t k = 0; k < FC_ROUNDS; first = w->ends[k++]) {
        next[lists] = w->hits + first;
        end[lists] = w->hits + w->ends[k];
        if (next[lists] < end[lists]) {
            cell[lists] = fc_cell_of(order, next[lists]);
            lists++;
        }
    }
    if (first > found->most)
        return FC_FULL;
    found->count = first;
    for (uint32_t n = 0; n < first; n++) {
        uint32_t least = 0;
        for (uint32_t k = 1; k < lists; k++)
            least = cell[k] < cell[least] ? k : least;
        found->places[n] = cell[least];
        found->values[n] = next[least]->value;
        cell[least] =
            ++next[least] < end[least] ? fc_cell_of(order, next[least]) : UINT32_MAX;
    }
    return FC_OK;
}

/* The flag byte is as it should be. */
static int fc_check_flags(const struct fc_grid *grid, uint8_t flags)
{
    return !(flags & 0x30) && !(flags & FC_HINTED) == !grid->hinted &&
           (flags & 0x0F) <= (flags & FC_LANED ? 11 : 0);
}

/* Code the symbols of all rounds. */
static void fc_walk_rounds(struct fc_scattered *x, struct fc_coder *c, int encode)
{
    if (encode)
        fc_walk_listed(&x->walk, c, 1);
    else
        fc_walk_listed(&x->walk, c, 0);
    if (c->status || x->order->listed == FC_ROUNDS)
        return;
#if defined(FC_AVX2)
    if (x->machine & FC_HAS_AVX2) {
        fc_walk_later_wide(&x->fields, &x->walk, c, encode);
        return;
    }
#endif
    fc_walk_later_plain(&x->fields, &x->walk, c, encode);
}

static int fc_lay_out_shapes(
    struct fc_shapes *shapes, const struct fc_grid *grid, uint32_t kept, struct fc_room *room)
{
    const uint32_t listed = fc_has_fields(grid) ? FC_LISTED : FC_ROUNDS;
    if (!fc_lay_out_order(&shapes->order, grid, NULL, listed, kept, room))
        return 0;
    if (listed < FC_ROUNDS) {
        shapes->fields = fc_part(room, grid->tensors, sizeof *shapes->fields);
        fc_lay_out_fields(shapes->fields, grid, room);
    }
    return 1;
}

size_t fc_order_room(const struct fc_grid *grid)
{
    struct fc_shapes shapes;
    struct fc_room room = {NULL, 0};
    fc_part(&room, 1, sizeof shapes);
    return fc_lay_out_shapes(&shapes, grid, fc_has_fields(grid) ? fc_count_listed(grid) : 0, &room)
        ? fc_asked(room.used) : 0;
}

int fc_order_prepare(const struct fc_grid *grid, void *memory, size_t size, void *spare)
{
    const uint32_t kept = fc_has_fields(grid) ? fc_count_listed(grid) : 0;
    struct fc_shapes counted;
    struct fc_room room = {NULL, 0};
    fc_part(&room, 1, sizeof counted);
    if (!fc_lay_out_shapes(&counted, grid, kept, &room))
        return FC_ROOM;
    const size_t asked = fc_asked(room.used);
    if (asked == 0 || size < asked)
        return FC_ROOM;
    room = fc_open_room(memory);
    struct fc_shapes *shapes = fc_part(&room, 1, sizeof *shapes);
    fc_lay_out_shapes(shapes, grid, kept, &room);
    fc_make_order(&shapes->order, grid, NULL, spare);
    const uint32_t mapped = shapes->order.listed < FC_ROUNDS ? grid->tensors : 0;
    for (uint32_t t = 0, word = 0; t < mapped; t++) {
        fc_make_field(shapes->fields + t, grid, word, spare);
        word += grid->shapes[t].rows * grid->shapes[t].cols;
    }
    return FC_OK;
}

static const struct fc_shapes *fc_prepared(const void *memory)
{
    return memory ? (const struct fc_shapes *)fc_open_room((void *)(uintptr_t)memory).memory : NULL;
}

size_t fc_nonzeros_room(const struct fc_grid *grid, const void *prepared, uint32_t most)
{
    struct fc_scattered x;
    struct fc_room room = {NULL, 0};
    fc_part(&room, 1, sizeof x);
    return fc_lay_out_scattered(&x, grid, NULL, fc_prepared(prepared), most, 0, &room)
        ? fc_asked(room.used) : 0;
}

/* Lay out memory that is large enough for scattered tensors, ready for their first round. */
static struct fc_scattered *fc_open_scattered(
    const struct fc_grid *grid, const uint8_t *dense, const void *prepared, uint32_t most,
    int encodes, void *memory)
{
    struct fc_room room = fc_open_room(memory);
    struct fc_scattered *x = fc_part(&room, 1, sizeof *x);
    fc_lay_out_scattered(x, grid, dense, fc_prepared(prepared), most, encodes, &room);
    fc_start_scattered(x, grid, dense);
    return x;
}

int fc_decode_nonzeros(
    const struct fc_grid *grid, const void *prepared, const uint8_t *data, size_t size,
    struct fc_nonzeros *found, void *memory, size_t memory_size)
{
    const size_t asked = fc_nonzeros_room(grid, prepared, FC_MOST_HITS);
    found->count = 0;
    if (size == 0)
        return FC_OK;
    if (!fc_check_flags(grid, data[0]) || data[0] & FC_LANED)
        return FC_FLAGS;
    if (asked == 0 || memory_size < asked)
        return FC_ROOM;
    struct fc_scattered *x = fc_open_scattered(grid, NULL, prepared, FC_MOST_HITS, 0, memory);
    struct fc_coder c = fc_reading(data, size);
    fc_walk_rounds(x, &c, 0);
    if (c.status)
        return c.status;
    /* It looks four bytes ahead. */
    if (c.at < size || c.at > size + 4)
        return FC_LEFT;
    return fc_merge_hits(&x->walk, found);
}

/* Memory for frames with lanes: the dense tensors are done when the others begin. */
static int fc_lay_out_tensors(
    struct fc_dense *d, struct fc_scattered *x, const struct fc_grid *grid,
    const uint8_t *dense, struct fc_room *room)
{
    struct fc_room again = *room;
    if (!fc_lay_out_scattered(x, grid, dense, NULL, FC_MOST_HITS, 0, &again))
        return 0;
    fc_lay_out_dense(d, grid, room);
    room->used = room->used > again.used ? room->used : again.used;
    return 1;
}

size_t fc_tensors_room(const struct fc_grid *grid)
{
    struct fc_dense d;
    struct fc_scattered x;
    struct fc_room room = {NULL, 0};
    fc_part(&room, 1, sizeof d);
    fc_part(&room, 1, sizeof x);
    fc_part(&room, grid->tensors, 1);
    return fc_lay_out_tensors(&d, &x, grid, NULL, &room) ? fc_asked(room.used) : 0;
}

/* Decode the tensors that are not dense into the symbols. */
static void fc_decode_rest(
    struct fc_scattered *x, const struct fc_grid *grid, const uint8_t *dense,
    struct fc_coder *c, int32_t *symbols)
{
    fc_start_scattered(x, grid, dense);
    fc_walk_rounds(x, c, 0);
    const uint32_t hits = c->status ? 0 : x->walk.ends[FC_ROUNDS - 1];
    for (uint32_t h = 0; h < hits; h++)
        symbols[fc_cell_of(x->order, x->walk.hits + h)] = x->walk.hits[h].value;
}

int fc_decode_tensors(
    const struct fc_grid *grid, const uint8_t *data, size_t size, int32_t *symbols,
    void *memory, size_t memory_size)
{
    const size_t asked = fc_tensors_room(grid);
    if (asked == 0 || memory_size < asked)
        return FC_ROOM;
    if (size == 0 || !fc_check_flags(grid, data[0]))
        return FC_FLAGS;
    struct fc_room room = fc_open_room(memory);
    struct fc_dense *d = fc_part(&room, 1, sizeof *d);
    struct fc_scattered *x = fc_part(&room, 1, sizeof *x);
    uint8_t *dense = fc_part(&room, grid->tensors, 1);
    struct fc_room rest = room;
    struct fc_coder c = fc_reading(data, size);
    size_t lanes_end = size;
    fc_zero(dense, grid->tensors);
    if (data[0] & FC_LANED) {
        fc_lay_out_dense(d, grid, &room);
        fc_start_lanes(d, &c, data[0] & 0x0F);
        fc_decode_all_dense(d, grid, data[0] & 0x0F, symbols, dense);
        lanes_end = d->lanes.at;
    }
    uint32_t others = 0;
    for (uint32_t t = 0; t < grid->tensors; t++)
        others += !dense[t];
    if (!c.status && others) {
        fc_lay_out_scattered(x, grid, dense, NULL, FC_MOST_HITS, 0, &rest);
        fc_decode_rest(x, grid, dense, &c, symbols);
    }
    if (c.status)
        return c.status;
    return c.at < lanes_end || c.at > lanes_end + 4 ? FC_LEFT : FC_OK;
}

/* Collect the nonzeros of the tensors that are not dense, by round. */
static int fc_collect(
    struct fc_scattered *x, const struct fc_grid *grid, const int32_t *const *symbols,
    uint32_t most)
{
    const struct fc_order *order = x->order;
    const uint32_t mixed = fc_finalise(grid->hinted ? grid->seed : 0);
    uint32_t by_round[FC_ROUNDS] = {0}, hits = 0;
    for (uint32_t t = 0; t < grid->tensors; t++) {
        const int32_t *symbol = symbols[t];
        for (uint32_t p = order->tensor[t]; p < order->tensor[t + 1]; p++) {
            const struct fc_piece *piece = order->piece + p;
            const uint32_t count = piece->width;
            for (uint32_t i = 0; i < count; i++) {
                while (i + 8 <= count && !(symbol[i] | symbol[i + 1] | symbol[i + 2] |
                                           symbol[i + 3] | symbol[i + 4] | symbol[i + 5] |
                                           symbol[i + 6] | symbol[i + 7]))
                    i += 8;
                if (i >= count || symbol[i] == 0)
                    continue;
                if (hits == most)
                    return FC_MANY;
                const uint32_t round = fc_round_of_log(
                    fc_log_of_word(fc_cell_word(grid, mixed, piece->word + i)));
                const struct fc_hit hit = {i, p, round, i, symbol[i]};
                x->found[hits++] = hit;
                by_round[round]++;
            }
            symbol += count;
        }
    }
    uint32_t next[FC_ROUNDS];
    for (uint32_t k = 0, sum = 0; k < FC_ROUNDS; k++) {
        next[k] = sum;
        sum += by_round[k];
        x->walk.ends[k] = sum;
    }
    for (uint32_t h = 0; h < hits; h++) {
        struct fc_hit *hit = x->found + h;
        const struct fc_piece *piece = order->piece + hit->piece;
        struct fc_hit *to = x->walk.hits + next[hit->place]++;
        *to = *hit;
        if (hit->place >= order->listed)
            continue;
        uint32_t low = fc_begins(piece, hit->place);
        for (uint32_t left = fc_ends(piece, hit->place) - low; left > 1;) {
            const uint32_t half = left / 2;
            low += (order->cell[low + half] & FC_COL_MASK) <= hit->at ? half : 0;
            left -= half;
        }
        to->at = low;
        to->cell = order->cell[low];
    }
    return FC_OK;
}

size_t fc_encode_room(
    const struct fc_grid *grid, const uint8_t *dense, const void *prepared, uint32_t most)
{
    struct fc_scattered x;
    struct fc_room room = {NULL, 0};
    fc_part(&room, 1, sizeof x);
    return fc_lay_out_scattered(&x, grid, dense, fc_prepared(prepared), most, 1, &room)
        ? fc_asked(room.used) : 0;
}

/* Encode the tensors that are not dense behind what the coder has written. */
static int fc_encode_rest(
    const struct fc_grid *grid, const uint8_t *dense, const void *prepared,
    const int32_t *const *symbols, uint32_t most, struct fc_coder *c, void *memory,
    size_t memory_size)
{
    const size_t asked = fc_encode_room(grid, dense, prepared, most);
    if (asked == 0 || memory_size < asked)
        return FC_ROOM;
    struct fc_scattered *x = fc_open_scattered(grid, dense, prepared, most, 1, memory);
    const int status = fc_collect(x, grid, symbols, fc_least(fc_least(most, FC_MOST_HITS), x->order->cells));
    if (status)
        return status;
    fc_walk_rounds(x, c, 1);
    return c->status;
}

int fc_encode_scattered(
    const struct fc_grid *grid, const void *prepared, const int32_t *const *symbols,
    uint32_t most, uint8_t *out, size_t out_size, size_t *written, void *memory,
    size_t memory_size)
{
    struct fc_coder c = fc_writing(out, out_size);
    *written = 0;
    if (out_size == 0)
        return FC_FULL;
    out[0] = grid->hinted ? FC_HINTED : 0;
    const int status =
        fc_encode_rest(grid, NULL, prepared, symbols, most, &c, memory, memory_size);
    if (status)
        return status;
    fc_finish(&c);
    *written = c.at;
    return c.status;
}

int fc_dense_finish(
    void *frame, const struct fc_grid *grid, const uint8_t *dense,
    const int32_t *const *symbols, uint32_t most, size_t *written, void *memory,
    size_t memory_size)
{
    struct fc_coder *c = &((struct fc_dense_frame *)frame)->scalar;
    uint32_t others = 0;
    int status = c->status;
    for (uint32_t t = 0; t < grid->tensors; t++)
        others += !dense[t];
    if (!status && others)
        status = fc_encode_rest(grid, dense, NULL, symbols, most, c, memory, memory_size);
    if (status)
        return status;
    fc_finish(c);
    *written = c->at;
    return c->status;
}
