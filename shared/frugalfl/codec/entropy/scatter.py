"""Few nonzeros among many zeros: where they are, their signs and sizes, in one range-coded stream.

Cells are visited in rounds, those with the smallest rounding thresholds first. Before a round a
model gives each of its cells a hazard (`-log2` of the chance to be zero), predicted from what the
earlier rounds showed of its tensor, row and column. A round is then coded as an arrival process:
blocks of up to one bit of hazard are empty or not, and a hit is placed in its block in proportion
to hazard. The work is a few coder steps for each nonzero, whatever the number of zeros.

This is the walk of the cost counter and of the plain decoder; `walk` is the same for speed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from frugalfl.errors import FrameError

from .chance_tables import EXP2
from .rangecoder import DECISIONS, PlaceCoder, fresh

ROUNDS = 12
MAX_HITS = 1 << 15
BLOCK = 1 << 16  # one bit of hazard
_TALLY = 4  # the signs of a row are tallied between -4 and 4
SIGN_CONTEXTS = 2 * _TALLY + 1
SIZE_CONTEXTS = 4


class Round(NamedTuple):
    """The cells of a round."""

    sums: Sequence[int]  # the hazard of all cells before each; one entry more than cells
    rows: Sequence[int]  # a number for the row of each, unique in the frame


class Model(Protocol):
    """Predicts hazards; implemented in numpy for speed and in plain Python for proof."""

    def begin(self, index: int) -> Round:
        """Predict the hazards of the cells of a round."""

    def learn(self, hits: Sequence[int]) -> None:
        """Be told which cells of the round begun last are nonzero."""


class Hit(NamedTuple):
    """A nonzero cell: its place in the round and its value."""

    place: int
    value: int


def code_scattered(
    coder: PlaceCoder, model: Model, known: Sequence[Sequence[Hit]]
) -> Iterator[list[Hit]]:
    """Code round after round; nothing is coded before the result is asked for.

    Args:
        coder: decoder or cost counter.
        model: predicts the hazards; fresh.
        known: for each round the hits in order of place; empty lists when decoding.

    Yields:
        The hits of each round: one round at a time, so that a decoder need not hold them all.

    Raises:
        FrameError: the coded bytes are corrupt.
    """
    values = _Values()
    total = 0
    for index in range(ROUNDS):
        sums, rows = model.begin(index)
        hits: list[Hit] = []
        expected = known[index]
        start, stop = 0, len(sums) - 1
        while start < stop:
            hit = expected[len(hits)] if len(hits) < len(expected) else Hit(stop, 0)
            place = _next_place(coder, sums, start, stop, hit.place)
            if place < 0:
                start = ~place
                continue
            total += 1
            if total > MAX_HITS:
                raise FrameError(f"more than {MAX_HITS} scattered symbols: the bytes are corrupt")
            hazard = sums[place + 1] - sums[place]
            hits.append(Hit(place, values.code(coder, rows[place], hazard, hit.value)))
            start = place + 1
        model.learn([hit.place for hit in hits])
        yield hits


def _next_place(coder: PlaceCoder, sums: Sequence[int], start: int, stop: int, wanted: int) -> int:
    """Code one block: the place of its first hit, or `~end` if the block is empty."""
    end = max(bisect_right(sums, sums[start] + BLOCK, start + 1, stop + 1) - 1, start + 1)
    if not coder.chance(hit_chance(sums[end] - sums[start]), int(wanted < end)):
        return ~end
    if end == start + 1:
        return start
    return coder.pick(sums, start, end, wanted)


def hit_chance(hazard: int) -> int:
    """The chance (of 65536) that cells with this summed hazard (1/65536 bit) hold a nonzero."""
    left, right = EXP2[hazard >> 10 & 63], EXP2[(hazard >> 10 & 63) + 1]
    empty = (left - ((left - right) * (hazard & 1023) >> 10)) >> (hazard >> 16)
    return min(max(65536 - empty, 2), 65536 - 16)


class _Values:
    """Signs and sizes: a row's signs agree more often than not (its unit's error has one sign)."""

    def __init__(self) -> None:
        self._signs = fresh(SIGN_CONTEXTS)
        self._sizes = fresh(DECISIONS * SIZE_CONTEXTS)
        self._tally: dict[int, int] = {}

    def code(self, coder: PlaceCoder, row: int, hazard: int, value: int) -> int:
        tally = self._tally.get(row, 0)
        context = min(max(tally, -_TALLY), _TALLY) + _TALLY
        minus = coder.bit(self._signs, context, int(value < 0))
        self._tally[row] = tally - 1 if minus else tally + 1
        context = (hazard >= 1 << 12) + (hazard >= 1 << 14) + (hazard >= 1 << 16)
        size = 1 + coder.integer(self._sizes, DECISIONS * context, max(abs(value) - 1, 0))
        if size > 0x7FFFFFFF + minus:
            raise FrameError(f"a symbol of {size} is beyond 32 bits: the bytes are corrupt")
        return -size if minus else size
