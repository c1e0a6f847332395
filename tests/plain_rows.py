"""The decoder of frames row by row in plain integers, written after the last section of the format.

Shares with the fast ones the range decoder and the tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from frugalfl.codec.entropy.chance_tables import EXP2, FIRST_HALVES, SHARE_LOGS
from frugalfl.codec.entropy.rangecoder import Decoder, fresh
from frugalfl.errors import FrameError


def decode_rows(scalar: Decoder, flats: list[list[int]], shapes: Sequence[tuple[int, int]]) -> None:
    """Decode all tensors into flat lists of zeros.

    Raises:
        FrameError: The bytes are not of these shapes.
    """
    frame = PlainRows(scalar)
    for flat, (rows, cols) in zip(flats, shapes, strict=True):
        if flat:
            frame.decode(flat, rows, cols)


class PlainRows:
    """What is learned over a frame, and of the columns of the tensor that is decoded."""

    def __init__(self, scalar: Decoder) -> None:
        self._scalar = scalar
        self._any_large = scalar.chance(32768)
        self._numbers, self._signs, self._sizes = fresh(24 * 33), fresh(9), fresh(4 * 33)
        self._left = 32768

    def decode(self, flat: list[int], rows: int, cols: int) -> None:
        """Decode a tensor."""
        self._h, self._old, self._new = [0] * min(cols, 4096), 0, 0
        self._sum_up()
        mean = 0
        for row in range(rows):
            for first in range(0, cols, 4096):
                width = min(cols - first, 4096)
                n = self._scalar.integer(self._numbers, 33 * mean.bit_length())
                self._left -= n
                if n > width or self._left < 0:
                    raise FrameError("more nonzeros than there can be")
                mean += (256 * n - mean) >> 2
                hits = list(self._line(width, n))
                for place, value in hits:
                    flat[row * cols + first + place] = value
                    self._h[place] += 64
                self._new += n
                if 4 * self._new > self._old:
                    self._sum_up()

    def _sum_up(self) -> None:
        self._old, self._new = self._old + self._new, 0
        base = 6 + 6 * self._old // len(self._h)
        while sum(h + base for h in self._h) > 65536:
            self._h = [h // 2 for h in self._h]
            base = max(base // 2, 1)
        self._s = list(accumulate((h + base for h in self._h), initial=0))

    def _line(self, width: int, n: int) -> Iterator[tuple[int, int]]:
        start = tally = 0
        for k in range(n, 0, -1):
            place = self._place(start, width, k)
            minus = self._scalar.bit(self._signs, min(max(tally, -4), 4) + 4)
            tally += 1 - 2 * minus
            context = 33 * min(n.bit_length() >> 1, 3)
            size = 1 + (self._scalar.integer(self._sizes, context) if self._any_large else 0)
            if size > 2**31 - 1 + minus:
                raise FrameError("a size is beyond 32 bits")
            yield place, -size if minus else size
            start = place + 1

    def _place(self, s: int, width: int, k: int) -> int:
        sums, last = self._s, width - k + 1
        while last > s + 1:
            total, end = sums[width] - sums[s], last
            if k > 1:
                reach = (total * FIRST_HALVES[k] if k <= 64 else total * 45426 // k) >> 16
                end = max(e for e in range(s, last + 1) if sums[e] - sums[s] <= reach)
                end = max(end, s + 1)
            if end < last and not self._scalar.chance(
                _chance(((sums[end] - sums[s]) << 16) // total, k)
            ):
                s = end
                continue
            return s if end == s + 1 else self._scalar.pick(sums, s, end)
        return s


def _chance(x: int, k: int) -> int:
    i = x >> 10
    log = SHARE_LOGS[i] + ((SHARE_LOGS[i + 1] - SHARE_LOGS[i]) * (x & 1023) >> 10)
    hazard = min(k * log, 20 * 65536)
    i = hazard >> 10 & 63
    empty = (EXP2[i] - ((EXP2[i] - EXP2[i + 1]) * (hazard & 1023) >> 10)) >> (hazard >> 16)
    return min(max(65536 - empty, 2), 65520)
