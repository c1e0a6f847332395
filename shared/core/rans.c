/* Small integers of one scale, by a table that a byte names: rANS, both ways. */
#include "rans.h"

static uint32_t rans_zigzag(int32_t symbol)
{
    return symbol < 0 ? ~((uint32_t)symbol << 1) : (uint32_t)symbol << 1;
}

/* Whether no symbol is beyond its table. */
static int rans_all_within(const struct rans_vector *v, const uint16_t *tables)
{
    uint32_t row = 0;
    while (row <= v->last && v->most < tables[row] / 2u)
        row += RANS_STRIDE;
    return row > v->last;
}

/* Write symbols beyond the table, the last one first, from `end` down; 0 if there is no space. */
static size_t rans_write_beyond(
    const struct rans_vector *v, const uint16_t *tables, uint8_t *out, size_t end)
{
    for (uint32_t i = v->count; i-- > 0;) {
        const int32_t symbol = rans_get(v, i);
        const uint32_t zigzag = rans_zigzag(symbol), reach = tables[rans_row(v, i)] / 2u - 1;
        uint32_t more = 0;
        for (int32_t shift = rans_magnitude(symbol) > reach ? 28 : -1; shift >= 0; shift -= 7) {
            if (zigzag >> shift == 0 && shift)
                continue;
            if (end == 0)
                return 0;
            out[--end] = (uint8_t)((zigzag >> shift & 0x7F) | more);
            more = 0x80;
        }
    }
    return end;
}

/* Write the coder's bytes, the last one first, from `end` down, and the head; 0: no space. */
static size_t rans_write(
    const struct rans_vector *v, const uint16_t *tables, uint8_t *out, size_t end)
{
    uint32_t state = RANS_LEAST;
    for (uint32_t i = v->count; i-- > 0;) {
        const uint16_t *table = tables + rans_row(v, i);
        const uint32_t beyond = table[0] - 1u;
        const uint32_t symbol = (uint32_t)rans_get(v, i) + (beyond - 1) / 2;
        const uint32_t place = symbol < beyond ? symbol : beyond;
        const uint32_t start = rans_start(table, place), frequency = rans_frequency(table, place);
        while (state >= frequency << (23 - RANS_BITS)) {
            if (end <= RANS_HEAD)
                return 0;
            out[--end] = (uint8_t)state;
            state >>= 8;
        }
        state = (state / frequency << RANS_BITS) + state % frequency + start;
    }
    if (end < RANS_HEAD)
        return 0;
    for (uint32_t k = 0; k < 3; k++)
        out[--end] = (uint8_t)(state >> (16 - 8 * k));
    return end;
}

/* Look up the place of a slot: the last that begins at it or before. */
static uint32_t rans_find(const uint16_t *table, uint32_t slot)
{
    uint32_t place = 0;
    for (uint32_t size = table[0]; size > 1; size -= size / 2) {
        const uint32_t next = place + size / 2;
        place = RANS_EITHER(rans_start(table, next) <= slot) ? next : place;
    }
    return place;
}

/* The same from a place that is known to be not beyond it. */
static inline uint32_t rans_find_from(const uint16_t *table, uint32_t slot, uint32_t place)
{
    while (rans_start(table, place + 1) <= slot)
        place++;
    return place;
}

/* Note for each group of slots where to begin; return it. NULL: there is no room for that. */
static const uint16_t *rans_near(const struct rans_vector *v, const uint16_t *tables, uint32_t number)
{
    struct rans_kept *kept = rans_kept(v);
    const uint32_t dithered = 1 + (v->dithered != 0);
    if (kept == NULL || (kept->number == number && kept->dithered == dithered))
        return kept ? kept->near : NULL;
    uint16_t *near = kept->near;
    for (uint32_t row = 0; row <= v->last; row += RANS_STRIDE) {
        uint32_t place = 0;
        for (uint32_t group = 0; group < 1 << RANS_NEAR; group++) {
            place = rans_find_from(tables + row, group << (RANS_BITS - RANS_NEAR), place);
            *near++ = (uint16_t)place;
        }
    }
    kept->number = number;
    kept->dithered = dithered;
    return kept->near;
}

/* Read the coder's bytes; how many symbols are beyond the table, in `beyond`. */
static int rans_read(
    const struct rans_vector *v, const uint8_t *data, size_t size, size_t *at, uint32_t *beyond)
{
    if (size < RANS_HEAD)
        return FC_ENDED;
    const uint16_t *tables = rans_tables(v, data[0]), *near = rans_near(v, tables, data[0]);
    uint32_t state = data[1] | (uint32_t)data[2] << 8 | (uint32_t)data[3] << 16;
    size_t next = RANS_HEAD;
    if (state < RANS_LEAST || state >> 23)
        return FC_CORRUPT;
    for (uint32_t i = 0; i < v->count; i++) {
        const uint32_t row = rans_row(v, i), slot = state & (RANS_WHOLE - 1);
        const uint16_t *table = tables + row;
        const uint32_t group = (row / RANS_STRIDE << RANS_NEAR) + (slot >> (RANS_BITS - RANS_NEAR));
        const uint32_t place = near ? rans_find_from(table, slot, near[group]) : rans_find(table, slot);
        const uint32_t start = rans_start(table, place), frequency = rans_frequency(table, place);
        state = frequency * (state >> RANS_BITS) + slot - start;
        for (; state < RANS_LEAST; state = state << 8 | data[next++])
            if (next == size)
                return FC_ENDED;
        int32_t symbol = (int32_t)place - (int32_t)(table[0] / 2u - 1);
        if (place + 1 == table[0]) {
            symbol = rans_mark(v);
            ++*beyond;
        } else if (rans_width(v) == 1 && rans_magnitude(symbol) > 127) {
            return FC_LARGE;
        }
        rans_put(v, i, symbol);
    }
    *at = next;
    return state == RANS_LEAST ? FC_OK : FC_CORRUPT;
}

/* Read a symbol's varint. */
static int rans_read_varint(const uint8_t *data, size_t size, size_t *at, uint32_t *zigzag)
{
    *zigzag = 0;
    for (uint32_t shift = 0; *at < size; shift += 7) {
        const uint8_t byte = data[(*at)++];
        if (shift == 28 && byte > 15)
            return FC_LARGE;
        *zigzag |= (uint32_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return FC_OK;
    }
    return FC_ENDED;
}

/* Put what is beyond the table in the place of its marks. */
static int rans_read_beyond(
    const struct rans_vector *v, const uint8_t *data, size_t size, size_t *at, uint32_t beyond)
{
    const int32_t mark = rans_mark(v);
    for (uint32_t i = 0; beyond; i++) {
        uint32_t zigzag;
        if (rans_get(v, i) != mark)
            continue;
        const int status = rans_read_varint(data, size, at, &zigzag);
        if (status)
            return status;
        const uint32_t half = zigzag >> 1;
        if (rans_width(v) < 4 && half >> (8 * rans_width(v) - 1))
            return FC_LARGE;
        rans_put(v, i, (int32_t)(half ^ (0u - (zigzag & 1))));
        beyond--;
    }
    return FC_OK;
}

/* Read a payload. */
static int rans_read_all(const struct rans_vector *v, const uint8_t *data, size_t size)
{
    uint32_t beyond = 0;
    size_t at = 0;
    int status = rans_read(v, data, size, &at, &beyond);
    if (status == FC_OK)
        status = rans_read_beyond(v, data, size, &at, beyond);
    return status == FC_OK && at < size ? FC_LEFT : status;
}

size_t fc_rans_room(uint32_t keep)
{
    return keep ? sizeof(struct rans_kept) : sizeof(struct rans_work);
}

/* Take the room; 0 if it is too small, or the vector is none. `mixed` is the bare seed until then. */
static int rans_take(struct rans_vector *v, void *room, size_t room_size)
{
    const uint32_t dithered = v->dithered != 0, width = rans_width(v);
    v->mixed = mixed_word(v->mixed ^ FC_DITHER);
    v->limit = dithered ? RANS_REACH : RANS_MOST;
    v->cells = dithered ? RANS_CELLS : 1;
    v->last = dithered ? RANS_SLOT - RANS_STRIDE : 0;
    v->work = room;
    v->kept = room_size < sizeof(struct rans_kept) ? NULL : room;
    return room_size >= sizeof(struct rans_work) && ((uintptr_t)room & 3) == 0 &&
           v->count <= RANS_COUNT && v->width == width && (width == 1 || width == 2 || width == 4);
}

int fc_rans_encode(
    const void *symbols, uint32_t width, uint32_t count, uint32_t dithered, uint32_t seed,
    uint8_t *out, size_t out_size, size_t *written, void *room, size_t room_size)
{
    struct rans_vector v;
    v.symbols = (void *)symbols, v.width = width, v.count = count;
    v.dithered = dithered, v.mixed = seed;
    *written = 0;
    if (!rans_take(&v, room, room_size))
        return FC_ROOM;
    const int32_t number = rans_best(&v);
    if (number < 0)
        return FC_OK;
    const uint16_t *tables = rans_tables(&v, (uint32_t)number);
    size_t at = out_size;
    if (rans_kept(&v) == NULL || !rans_all_within(&v, tables))
        at = rans_write_beyond(&v, tables, out, at);
    at = rans_write(&v, tables, out, at);
    if (at == 0)
        return FC_FULL;
    out[--at] = (uint8_t)number;
    for (*written = 0; at < out_size; ++*written)
        out[*written] = out[at++];
    return FC_OK;
}

int fc_rans_decode(
    const uint8_t *data, size_t size, void *symbols, uint32_t width, uint32_t count,
    uint32_t dithered, uint32_t seed, void *room, size_t room_size)
{
    struct rans_vector v;
    v.symbols = symbols, v.width = width, v.count = count;
    v.dithered = dithered, v.mixed = seed;
    if (!rans_take(&v, room, room_size))
        return FC_ROOM;
    for (uint32_t i = 0; size == 0 && i < count; i++)
        rans_put(&v, i, 0);
    return size ? rans_read_all(&v, data, size) : FC_OK;
}
