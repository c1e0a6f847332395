"""Few nonzeros among many zeros, row by row: how many each row has, then where.

The other model of sparse tensors, for updates without shared thresholds: it takes a few steps for
each row and each nonzero and none for a zero, where `scatter` looks at every cell several times.

One decision says whether any size is above 1: if none is, sizes are not coded.

How many nonzeros a row has is an adaptive integer, by a running mean of the rows before. Where they
are is predicted from columns alone: each weighs what the rows before had in it, and a little more.
The first of k nonzeros is looked for in a block that has one with a chance of about one half.

Rows of more than WIDEST cells are cut into lines; columns are counted from where a line begins.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

from frugalfl.errors import FrameError

from .chance_tables import FIRST_HALVES, SHARE_LOGS
from .rangecoder import CORRUPT, DECISIONS, PlaceCoder, fresh
from .scatter import MAX_HITS, SIGN_CONTEXTS, Hit, hit_chance

#: Cells of a line.
WIDEST = 4096
#: What a nonzero adds to the weight of its column.
HIT_WEIGHT = 64
#: What a column weighs without any, and for each nonzero that all have on average.
BASE_WEIGHT = 6
#: All columns together weigh at most this, or their hits fade.
MOST_WEIGHT = 1 << 16
MEAN_CONTEXTS = 24
_TALLY = (SIGN_CONTEXTS - 1) // 2
_MOST_HAZARD = 20 << 16
#: Half of the chance, for more nonzeros than FIRST_HALVES has: `65536 * ln 2`, of one.
_HALF = 45426
_EVEN = 1 << 15


def code_rows(
    coder: PlaceCoder, shapes: Sequence[tuple[int, int]], known: Sequence[Sequence[Hit]]
) -> Iterator[list[Hit]]:
    """Code tensor after tensor.

    Args:
        coder: Encoder, decoder or cost counter.
        shapes: Rows and columns of each tensor.
        known: For each tensor its nonzeros, in order of place; empty lists when decoding.

    Yields:
        The nonzeros of each tensor, with places counted from its beginning.

    Raises:
        FrameError: The coded bytes are corrupt.
    """
    large = any(abs(hit.value) > 1 for hits in known for hit in hits)
    model = _Model(coder, bool(coder.chance(_EVEN, int(large))))
    for (rows, cols), hits in zip(shapes, known, strict=True):
        yield model.code(rows, cols, hits)


class _Columns:
    """What the columns of a tensor weigh."""

    def __init__(self, count: int) -> None:
        self._hits = [0] * count
        self._seen = self._new = 0
        self.sums: list[int] = []
        self._sum_up()

    def add(self, hits: Sequence[int]) -> None:
        """Take in a line's nonzeros; the weights change once there are a quarter more."""
        for column in hits:
            self._hits[column] += HIT_WEIGHT
        self._new += len(hits)
        if 4 * self._new > self._seen:
            self._sum_up()

    def _sum_up(self) -> None:
        self._seen += self._new
        self._new = 0
        count = len(self._hits)
        base = BASE_WEIGHT + BASE_WEIGHT * self._seen // count
        while sum(self._hits) + base * count > MOST_WEIGHT:
            self._hits = [hits >> 1 for hits in self._hits]
            base = max(base >> 1, 1)
        self.sums = list(accumulate((hits + base for hits in self._hits), initial=0))


class _Model:
    """What is learned over all tensors of a frame."""

    def __init__(self, coder: PlaceCoder, large: bool) -> None:
        self._coder = coder
        self._large = large
        self._numbers = fresh(DECISIONS * MEAN_CONTEXTS)
        self._signs = fresh(SIGN_CONTEXTS)
        self._sizes = fresh(DECISIONS * 4)
        self._total = 0

    def code(self, rows: int, cols: int, known: Sequence[Hit]) -> list[Hit]:
        """Code a tensor."""
        if not rows or not cols:
            return []
        columns = _Columns(min(cols, WIDEST))
        hits: list[Hit] = []
        mean = at = 0
        for row in range(rows):
            for start in range(row * cols, (row + 1) * cols, WIDEST):
                width = min((row + 1) * cols - start, WIDEST)
                end = at
                while end < len(known) and known[end].place < start + width:
                    end += 1
                line = [Hit(hit.place - start, hit.value) for hit in known[at:end]]
                at = end
                number = self._number(mean, width, len(line))
                mean += ((number << 8) - mean) >> 2
                if number:
                    found = self._line(columns.sums, width, number, line)
                    hits += [Hit(start + hit.place, hit.value) for hit in found]
                    columns.add([hit.place for hit in found])
        return hits

    def _number(self, mean: int, width: int, known: int) -> int:
        context = DECISIONS * mean.bit_length()
        number = self._coder.integer(self._numbers, context, known)
        self._total += number
        if number > width:
            raise FrameError(CORRUPT)
        if self._total > MAX_HITS:
            raise FrameError(f"more than {MAX_HITS} scattered symbols: the bytes are corrupt")
        return number

    def _line(
        self, sums: Sequence[int], width: int, number: int, known: Sequence[Hit]
    ) -> list[Hit]:
        hits: list[Hit] = []
        start = tally = 0
        sizes = DECISIONS * min(number.bit_length() >> 1, 3)
        for left in range(number, 0, -1):
            wanted = known[len(hits)] if known else Hit(0, 0)
            place = self._place(sums, start, width, left, wanted.place)
            context = min(max(tally, -_TALLY), _TALLY) + _TALLY
            minus = self._coder.bit(self._signs, context, int(wanted.value < 0))
            tally += -1 if minus else 1
            size = 1
            if self._large:
                size += self._coder.integer(self._sizes, sizes, max(abs(wanted.value) - 1, 0))
            if size > 0x7FFFFFFF + minus:
                raise FrameError(f"a symbol of {size} is beyond 32 bits: the bytes are corrupt")
            hits.append(Hit(place, -size if minus else size))
            start = place + 1
        return hits

    def _place(self, sums: Sequence[int], start: int, width: int, left: int, wanted: int) -> int:
        """Code the first of so many nonzeros from ``start`` on."""
        last = width - left + 1  # behind where it can be
        while True:
            if last == start + 1:
                return start
            total = sums[width] - sums[start]
            end = last if left == 1 else _half(sums, start, total, left, last)
            if end < last and not self._coder.chance(
                _chance((sums[end] - sums[start] << 16) // total, left), int(wanted < end)
            ):
                start = end
            elif end == start + 1:
                return start
            else:
                return self._coder.pick(sums, start, end, wanted)


def _half(sums: Sequence[int], start: int, total: int, left: int, last: int) -> int:
    """Return the end of a block that has one of so many nonzeros with a chance of about 1/2."""
    known = left < len(FIRST_HALVES)
    reach = (total * FIRST_HALVES[left] if known else total * _HALF // left) >> 16
    return max(bisect_right(sums, sums[start] + reach, start, last + 1) - 1, start + 1)


def _chance(share: int, left: int) -> int:
    """The chance (of 65536) that one of so many nonzeros is in this share (of 65536) of a line."""
    step = share >> 10
    low, high = SHARE_LOGS[step : step + 2]
    log = low + ((high - low) * (share & 1023) >> 10)
    return hit_chance(min(left * log, _MOST_HAZARD))
