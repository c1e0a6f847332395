/*
 * Few nonzeros among many zeros, row by row: entropy/rows.py, which says how it works. A few steps
 * for each row and each nonzero, none for a zero. Comes after walk.c.
 */
enum {
    FC_WIDEST = 4096, /* cells of a line */
    FC_HIT_WEIGHT = 64,
    FC_BASE_WEIGHT = 6,
    FC_MOST_WEIGHT = 1 << 16,
    FC_MEAN_CONTEXTS = 24,
    FC_MOST_HAZARD = 20 << 16,
    FC_SHARES = 65,
};

/* What is learned: over a frame, and (from `columns` on) over a tensor. */
struct fc_rows {
    fc_counts numbers[FC_MEAN_CONTEXTS][FC_DECISIONS];
    fc_counts signs[2 * FC_TALLY + 1], sizes[4][FC_DECISIONS];
    uint32_t all_ones; /* no size is above 1 */
    uint32_t columns, seen, fresh;
    uint32_t hits[FC_WIDEST], sums[FC_WIDEST + 1];
};

/* The weights of the columns, as they are until there are a quarter more nonzeros. */
static void fc_sum_up(struct fc_rows *m)
{
    m->seen += m->fresh;
    m->fresh = 0;
    uint32_t base = FC_BASE_WEIGHT + FC_BASE_WEIGHT * m->seen / m->columns;
    for (;;) {
        uint32_t sum = 0;
        for (uint32_t i = 0; i < m->columns; i++) {
            m->sums[i] = sum;
            sum += m->hits[i] + base;
        }
        m->sums[m->columns] = sum;
        if (sum <= FC_MOST_WEIGHT)
            return;
        for (uint32_t i = 0; i < m->columns; i++)
            m->hits[i] >>= 1;
        base = base > 1 ? base >> 1 : 1;
    }
}

static void fc_start_tensor(struct fc_rows *m, uint32_t cols)
{
    m->columns = fc_least(cols, FC_WIDEST);
    m->seen = m->fresh = 0;
    fc_zero(m->hits, m->columns * sizeof *m->hits);
    fc_sum_up(m);
}

/* The chance (of 65536) that one of so many nonzeros is in this share (of 65536) of a line. */
FC_INLINE uint32_t fc_share_chance(uint32_t share, uint32_t left)
{
    const uint32_t *log = FC_SHARE_LOGS + (share >> 10);
    const uint32_t hazard = log[0] + ((log[1] - log[0]) * (share & 1023) >> 10);
    return fc_hit_chance(fc_least(left * hazard, FC_MOST_HAZARD)); /* 2**12 times 2**20 at most */
}

/* The end of a block that has one of so many nonzeros with a chance of about one half. */
FC_INLINE uint32_t fc_half_end(
    const uint32_t *sums, uint32_t start, uint32_t last, uint32_t left, uint32_t reach)
{
    const uint32_t base = sums[start], step = ((last - start) >> fc_bits_of(left)) + 1;
    uint32_t low = start;
    while (step <= last - low && sums[low + step] - base <= reach)
        low += step;
    const uint32_t high = step <= last - low ? low + step : last + 1;
    const uint32_t end = fc_last_within(sums, low, high, base, reach);
    return end > start ? end : start + 1;
}

/* The first of so many nonzeros from `start` on. */
FC_INLINE uint32_t fc_row_place(
    const uint32_t *sums, struct fc_coder *c, uint32_t start, uint32_t width, uint32_t left,
    uint32_t known, const int encode)
{
    const uint32_t last = width - left + 1; /* behind where it can be */
    while (last > start + 1 && !c->status) {
        const uint32_t total = sums[width] - sums[start];
        uint32_t end = last;
        if (left > 1) {
            const uint32_t reach =
                left < FC_SHARES ? total * FC_FIRST_HALVES[left] >> 16 : total * 45426U / left >> 16;
            end = fc_half_end(sums, start, last, left, reach);
        }
        uint32_t weight = sums[end] - sums[start];
        if (end < last) {
            const uint32_t chance = fc_share_chance((weight << 16) / total, left);
            if (!fc_chance(c, chance, known < end, encode)) {
                start = end;
                continue;
            }
        }
        if (end > start + 1)
            start = fc_pick(sums, c, start, end, known, &weight, encode);
        break;
    }
    return start;
}

/* Sign and size of a nonzero, after those before it in its line. */
FC_INLINE int32_t fc_row_value(
    struct fc_rows *m, struct fc_coder *c, int32_t *tally, fc_counts *sizes, int32_t known,
    const int encode)
{
    const int32_t context = fc_clamp(*tally, -FC_TALLY, FC_TALLY) + FC_TALLY;
    const uint32_t minus = fc_bit(c, m->signs[context], known < 0, encode);
    const uint32_t size = known < 0 ? 0U - (uint32_t)known : (uint32_t)known;
    *tally += minus ? -1 : 1;
    if (m->all_ones)
        return minus ? -1 : 1;
    const uint64_t coded = 1 + fc_integer(c, sizes, encode ? size - 1 : 0, encode);
    if (coded > 0x7FFFFFFFU + (uint64_t)minus) {
        fc_fail(c, FC_LARGE);
        return 0;
    }
    return (int32_t)(minus ? -(int64_t)coded : (int64_t)coded);
}

/* The nonzeros of a line, whose first cell has the number `first`. */
FC_INLINE void fc_code_line(
    struct fc_rows *m, struct fc_coder *c, uint32_t first, uint32_t width, uint32_t number,
    uint32_t *places, int32_t *values, const int encode)
{
    fc_counts *sizes = m->sizes[fc_least(fc_bits_of(number) >> 1, 3)];
    int32_t tally = 0;
    uint32_t start = 0;
    for (uint32_t n = 0; n < number && !c->status; n++) {
        const uint32_t known = encode ? places[n] - first : 0;
        const uint32_t place =
            fc_row_place(m->sums, c, start, width, number - n, known, encode);
        values[n] = fc_row_value(m, c, &tally, sizes, encode ? values[n] : 0, encode);
        places[n] = first + place;
        start = place + 1;
    }
    if (c->status)
        return;
    for (uint32_t n = 0; n < number; n++)
        m->hits[places[n] - first] += FC_HIT_WEIGHT;
    m->fresh += number;
    if (4 * m->fresh > m->seen)
        fc_sum_up(m);
}

/* How many of the known nonzeros from number `at` on are before a cell. */
static uint32_t fc_number_before(const struct fc_nonzeros *known, uint32_t at, uint64_t cell)
{
    uint32_t end = at;
    while (end < known->count && known->places[end] < cell)
        end++;
    return end - at;
}

/* Code a tensor whose first cell has the number `first`, and whose first nonzero `at`. */
FC_INLINE uint32_t fc_code_tensor(
    struct fc_rows *m, struct fc_coder *c, struct fc_shape shape, uint32_t first,
    struct fc_nonzeros *found, uint32_t at, const int encode)
{
    int32_t mean = 0;
    fc_start_tensor(m, shape.cols);
    for (uint32_t row = 0; row < shape.rows; row++) {
        for (uint32_t col = 0; col < shape.cols; col += FC_WIDEST) {
            const uint32_t width = fc_least(shape.cols - col, FC_WIDEST);
            const uint32_t line = first + row * shape.cols + col;
            const uint32_t known =
                encode ? fc_number_before(found, at, (uint64_t)line + width) : 0;
            const uint64_t number =
                fc_integer(c, m->numbers[fc_bits_of((uint32_t)mean)], known, encode);
            if (number > width)
                fc_fail(c, FC_CORRUPT);
            else if (number > fc_least(found->most, FC_MOST_HITS) - at)
                fc_fail(c, FC_MANY);
            if (c->status)
                return at;
            mean += (((int32_t)number << 8) - mean) >> 2;
            if (number)
                fc_code_line(
                    m, c, line, width, (uint32_t)number, found->places + at, found->values + at,
                    encode);
            at += (uint32_t)number;
        }
    }
    return at;
}

static int fc_has_large(const struct fc_nonzeros *known)
{
    for (uint32_t i = 0; i < known->count; i++)
        if (known->values[i] > 1 || known->values[i] < -1)
            return 1;
    return 0;
}

/* Code all tensors; `found` then has what there is. */
FC_INLINE void fc_code_rows(
    struct fc_rows *m, struct fc_coder *c, const struct fc_shape *shapes, uint32_t tensors,
    struct fc_nonzeros *found, const int encode)
{
    uint32_t first = 0, at = 0;
    fc_start_counts(m->numbers[0], FC_MEAN_CONTEXTS * FC_DECISIONS);
    fc_start_counts(m->signs, 2 * FC_TALLY + 1);
    fc_start_counts(m->sizes[0], 4 * FC_DECISIONS);
    m->all_ones = !fc_chance(c, 1 << 15, encode && fc_has_large(found), encode);
    for (uint32_t i = 0; i < tensors && !c->status; i++) {
        if (shapes[i].rows && shapes[i].cols)
            at = fc_code_tensor(m, c, shapes[i], first, found, at, encode);
        first += shapes[i].rows * shapes[i].cols;
    }
    if (encode && at != found->count)
        fc_fail(c, FC_VALUE);
    found->count = at;
}

FC_API size_t fc_rows_room(void)
{
    return fc_asked(sizeof(struct fc_rows));
}

/* Whether all cells have numbers below 2**31, and the caller's memory is enough. */
static int fc_rows_fit(
    const struct fc_shape *shapes, uint32_t tensors, const void *memory, size_t size)
{
    uint64_t cells = 0;
    for (uint32_t i = 0; i < tensors; i++) {
        cells += (uint64_t)shapes[i].rows * shapes[i].cols;
        if (cells >> 31)
            return 0;
    }
    return memory != NULL && size >= fc_rows_room();
}

FC_API int fc_rows_decode(
    const struct fc_shape *shapes, uint32_t tensors, const uint8_t *data, size_t size,
    struct fc_nonzeros *found, void *memory, size_t memory_size)
{
    struct fc_room room = fc_open_room(memory);
    found->count = 0;
    if (!fc_rows_fit(shapes, tensors, memory, memory_size))
        return FC_ROOM;
    if (size == 0 || data[0] != FC_BY_ROWS)
        return FC_FLAGS;
    struct fc_coder c = fc_reading(data, size);
    fc_code_rows(fc_part(&room, 1, sizeof(struct fc_rows)), &c, shapes, tensors, found, 0);
    if (c.status)
        return c.status;
    return c.at < size ? FC_LEFT : FC_OK;
}

/* Whether nonzeros stand in rising places of these shapes. */
static int fc_known_fit(
    const struct fc_shape *shapes, uint32_t tensors, const struct fc_nonzeros *known)
{
    uint64_t cells = 0;
    for (uint32_t t = 0; t < tensors; t++)
        cells += (uint64_t)shapes[t].rows * shapes[t].cols;
    if (known->count > known->most)
        return 0;
    for (uint32_t n = 0; n < known->count; n++)
        if (known->values[n] == 0 || known->places[n] >= cells ||
            (n && known->places[n] <= known->places[n - 1]))
            return 0;
    return 1;
}

FC_API int fc_rows_encode(
    const struct fc_shape *shapes, uint32_t tensors, struct fc_nonzeros *known, uint8_t *out,
    size_t out_size, size_t *written, void *memory, size_t memory_size)
{
    struct fc_room room = fc_open_room(memory);
    *written = 0;
    if (!fc_rows_fit(shapes, tensors, memory, memory_size))
        return FC_ROOM;
    if (!fc_known_fit(shapes, tensors, known))
        return FC_VALUE;
    if (out_size == 0)
        return FC_FULL;
    out[0] = FC_BY_ROWS;
    struct fc_coder c = fc_writing(out, out_size);
    fc_code_rows(fc_part(&room, 1, sizeof(struct fc_rows)), &c, shapes, tensors, known, 1);
    if (!c.status)
        fc_finish(&c);
    *written = c.at;
    return c.status;
}
