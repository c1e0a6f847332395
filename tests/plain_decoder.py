"""The decoder of `frugalfl.codec.entropy` in plain integers: slow, and the proof of its format.

Shares with the fast decoder only what is plain Python already: the range decoder, the scattered
walk and the tables. Lists instead of arrays, one cell and one lane at a time.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

from plain_lanes import PlainDense, PlainLanes
from plain_rows import decode_rows

from frugalfl.codec.entropy.chance_tables import (
    CHANCES,
    EIGHTHS,
    HALVES_BLIND,
    HALVES_HINTED,
    HAZARDS,
)
from frugalfl.codec.entropy.rangecoder import Decoder, fresh
from frugalfl.codec.entropy.scatter import ROUNDS, Round, code_scattered
from frugalfl.errors import FrameError

Matrix = list[list[int]]
_MASK = 0xFFFFFFFF


def decode_tensors(
    data: bytes | bytearray | memoryview,
    shapes: Sequence[tuple[int, int]],
    thresholds: Sequence[Sequence[int]] | None = None,
) -> list[Matrix]:
    """Decode a frame.

    Args:
        data: the frame.
        shapes: rows and columns of each tensor.
        thresholds: for each tensor its 32-bit rounding thresholds, flat.

    Raises:
        FrameError: the bytes are not a frame of these shapes.
    """
    data = bytes(data)
    flats = [[0] * (rows * cols) for rows, cols in shapes]
    if data:
        _decode(data, flats, shapes, thresholds)
    return [
        [flat[row * cols : (row + 1) * cols] for row in range(rows)]
        for flat, (rows, cols) in zip(flats, shapes, strict=True)
    ]


def _decode(
    data: bytes,
    flats: list[list[int]],
    shapes: Sequence[tuple[int, int]],
    thresholds: Sequence[Sequence[int]] | None,
) -> None:
    if data[0] == 0x20 and thresholds is None:
        rows = Decoder(data, 1)
        decode_rows(rows, flats, shapes)
        if rows.spare_bytes() > 0:
            raise FrameError("bytes are left over: corrupt frame")
        return
    hinted, laned, log_lanes = data[0] >> 7, data[0] >> 6 & 1, data[0] & 0x0F
    if data[0] & 0x30 or log_lanes > 11 * laned or bool(hinted) != (thresholds is not None):
        raise FrameError(f"flag byte 0x{data[0]:02x} is not one of this format, or not as asked")
    scalar = Decoder(data, 1)
    dense = [False] * len(shapes)
    used = 0
    if laned:
        counts = fresh(1)
        dense = [bool(scalar.bit(counts, 0)) for _ in shapes]
        if any(chosen and not flat for chosen, flat in zip(dense, flats, strict=True)):
            raise FrameError("a tensor without entries is said to be dense: corrupt frame")
        cells = sum(len(flat) for flat, is_dense in zip(flats, dense, strict=True) if is_dense)
        if log_lanes < min(max((cells >> 14).bit_length() - 1, 0), 11):
            raise FrameError("too few lanes for so many cells: the bytes are corrupt")
        lanes = PlainLanes(data, log_lanes)
        coder = PlainDense(scalar, lanes)
        decoded = [(i, *coder.decode(*shapes[i])) for i, is_dense in enumerate(dense) if is_dense]
        signs = iter(lanes.finish())
        for index, hits, raw in decoded:
            for place in raw:
                if next(signs):
                    hits[place] = -hits[place]
            for place, value in hits.items():
                if not -0x80000000 <= value <= 0x7FFFFFFF:
                    raise FrameError("a symbol is beyond 32 bits: the bytes are corrupt")
                flats[index][place] = value
        used = lanes.used_bytes
    if not all(dense):
        rest = [index for index, is_dense in enumerate(dense) if not is_dense]
        hints = None if thresholds is None else [word for i in rest for word in thresholds[i]]
        model = PlainScales([shapes[i] for i in rest], hints)
        where = [(i, place) for i in rest for place in range(len(flats[i]))]
        for index, hits_ in enumerate(code_scattered(scalar, model, [[]] * ROUNDS)):
            for place, value in hits_:
                tensor, cell = where[model.cells[index][place]]
                flats[tensor][cell] = value
    if not -4 <= scalar.spare_bytes() - used <= 0:
        raise FrameError("bytes are left over, or were read twice: corrupt frame")


def mix_one(seed: int, index: int) -> int:
    """Word `index` of a seed: what `thresholds.mix` draws."""
    return _finalise((index * 0x9E3779B9 + _finalise(seed & _MASK)) & _MASK)


def _finalise(word: int) -> int:
    word = (word ^ word >> 16) * 0x85EBCA6B & _MASK
    word = (word ^ word >> 13) * 0xC2B2AE35 & _MASK
    return word ^ word >> 16


def eighths(value: int) -> int:
    """The logarithm to base 2 of a positive integer, in eighths, rounded down."""
    length = value.bit_length()
    mantissa = value << 16 - length if length <= 16 else value >> length - 16
    return 8 * (length - 1) + bisect_right(EIGHTHS, mantissa) - 1


class PlainScales:
    """`scales.Scales`, cell by cell."""

    def __init__(self, shapes: Sequence[tuple[int, int]], hints: Sequence[int] | None) -> None:
        lines = []
        first_row = first_col = 0
        for tensor, (rows, cols) in enumerate(shapes):
            for cell in range(rows * cols):
                lines.append((tensor, first_row + cell // cols, first_col + cell % cols))
            first_row, first_col = first_row + rows, first_col + cols
        self._lines = lines
        words = [mix_one(0, i) for i in range(len(lines))] if hints is None else hints
        self.cells: list[list[int]] = [[] for _ in range(ROUNDS)]
        for cell, word in enumerate(words):
            self.cells[max((word >> 16).bit_length() - 5, 0)].append(cell)
        self._log = [0 if hints is None else eighths(2 * (word >> 16) + 1) - 136 for word in words]
        self._prior = HALVES_BLIND if hints is None else HALVES_HINTED
        self._scales = [[-48] * len(shapes), [0] * first_row, [0] * first_col]
        self._seen = [0] * 84
        self._ones = [0] * 84
        self._hit: list[int] = []
        self._done: list[int] = []
        self._now: list[int] = []

    def begin(self, index: int) -> Round:
        """Predict the hazards of the cells of a round."""
        self._now = self.cells[index]
        hazards = []
        for prior, ones, seen in zip(self._prior, self._ones, self._seen, strict=True):
            chance = ((ones << 16) + 32 * prior) // (seen + 32)
            hazards.append(HAZARDS[min(bisect_left(CHANCES, chance), len(CHANCES) - 1)])
        sums = accumulate((hazards[self._class(cell)] for cell in self._now), initial=0)
        return Round(list(sums), [self._lines[cell][1] for cell in self._now])

    def learn(self, hits: Sequence[int]) -> None:
        """Be told the hits of the round begun last; refit the scales."""
        for cell in self._now:
            self._seen[self._class(cell)] += 1
        for place in hits:
            self._ones[self._class(self._now[place])] += 1
        self._done += self._now
        self._hit += [self._now[place] for place in hits]
        if not self._now or self._now is self.cells[-1]:
            return
        for kind, prior, bound in ((0, 1 << 15, 320), (1, 2 << 16, 60), (2, 2 << 16, 60)):
            scale = self._scales[kind]
            found, mean = [prior] * len(scale), [prior] * len(scale)
            for cell in self._hit:
                found[self._lines[cell][kind]] += 1 << 16
            for cell in self._done:
                mean[self._lines[cell][kind]] += self._prior[self._class(cell)]
            for line, (hit, expected) in enumerate(zip(found, mean, strict=True)):
                step = ((eighths(hit) - eighths(expected)) * 45 + 32) >> 6
                scale[line] = min(max(scale[line] + step, -bound), bound)

    def _class(self, cell: int) -> int:
        tensor, row, col = self._lines[cell]
        scale = self._scales[0][tensor] + self._scales[1][row] + self._scales[2][col]
        return min(max((self._log[cell] - scale >> 2) + 24, 0), 83)
