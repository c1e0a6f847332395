"""`scatter.code_scattered` for the encoder and the decoder, with the range coder written out.

A nonzero takes some six coder steps of a few machine instructions each; in Python a call costs
more than such a step. Here the coder's state is in local variables for a whole round, which is
three times faster. The plain decoder and the cost counter take the other walk, and the tests hold
the two against each other.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

import numpy as np

from frugalfl.errors import FrameError

from .chance_tables import EXP2
from .rangecoder import (
    CORRUPT,
    DECISIONS,
    ENDED,
    FULL_COUNT,
    INCREMENT,
    LONG,
    LOW,
    Decoder,
    Encoder,
    fresh,
    halve,
)
from .scatter import (
    BLOCK,
    MAX_HITS,
    ROUNDS,
    SIGN_CONTEXTS,
    SIZE_CONTEXTS,
    Model,
    hit_chance,
)

# Where the counters of a row's signs are: the tally is counted in twos from the middle.
_EVEN, _LAST = SIGN_CONTEXTS - 1, 2 * (SIGN_CONTEXTS - 1)
_SIZE = 2 * DECISIONS


def encode_scattered(
    encoder: Encoder, model: Model, known: Iterable[tuple[Sequence[int], Sequence[int]]]
) -> None:
    """Encode round after round.

    Args:
        encoder: takes the steps.
        model: predicts the hazards; fresh.
        known: for each round the places of the nonzeros, ascending, and their values.
    """
    chances = _chances()
    signs, sizes = fresh(SIGN_CONTEXTS), fresh(DECISIONS * SIZE_CONTEXTS)
    tally: dict[int, int] = {}
    for index, (places, values) in enumerate(known):
        sums, rows = model.begin(index)
        stop = len(sums) - 1
        reach = _reach(sums)
        far = stop - reach
        low, span = encoder.low, encoder.range
        start = base = 0
        for place, value in zip((*places, stop), (*values, 0), strict=True):
            # Where is it: empty blocks, then one that is not.
            while start < stop:
                near = start + reach if start < far else stop
                end = bisect_right(sums, base + BLOCK, start + 1, near + 1) - 1
                if end == near:
                    end = bisect_right(sums, base + BLOCK, near, stop + 1) - 1
                if end > start:
                    hazard = sums[end] - base
                    ones = (span >> 16) * chances[hazard]
                else:
                    end += 1
                    hazard = sums[end] - base
                    ones = (span >> 16) * hit_chance(hazard)
                if place < end:
                    span = ones
                    break
                low += ones
                span = (span & -65536) - ones
                start = end
                base += hazard
                while span < LOW:
                    low <<= 8
                    span <<= 8
                    if low > LONG:
                        low = encoder.shorten(low)
            else:
                break
            while span < LOW:
                low <<= 8
                span <<= 8
            if end > start + 1:
                first = sums[place]
                unit = span // hazard
                low += unit * (first - base)
                base = sums[place + 1]
                hazard = base - first
                span = unit * hazard
                while span < LOW:
                    low <<= 8
                    span <<= 8
            else:
                base += hazard
            start = place + 1

            # Its sign.
            row = rows[place]
            sign = tally.get(row, _EVEN)
            at = sign if 0 <= sign <= _LAST else 0 if sign < 0 else _LAST
            zeros, ones = signs[at], signs[at + 1]
            unit = span // (zeros + ones)
            if value > 0:
                span = unit * zeros
                signs[at] = zeros + INCREMENT
                tally[row] = sign + 2
            else:
                low += unit * zeros
                span = unit * ones
                signs[at + 1] = ones + INCREMENT
                tally[row] = sign - 2
            if zeros + ones > FULL_COUNT:
                halve(signs, at)
            while span < LOW:
                low <<= 8
                span <<= 8

            # Its size.
            at = _SIZE * ((hazard >= 1 << 12) + (hazard >= 1 << 14) + (hazard >= 1 << 16))
            if -2 < value < 2:
                zeros, ones = sizes[at], sizes[at + 1]
                span = span // (zeros + ones) * zeros
                sizes[at] = zeros + INCREMENT
                if zeros + ones > FULL_COUNT:
                    halve(sizes, at)
                while span < LOW:
                    low <<= 8
                    span <<= 8
            else:
                encoder.low, encoder.range = low, span
                encoder.integer(sizes, at >> 1, abs(value) - 1)
                low, span = encoder.low, encoder.range
            if low > LONG:
                low = encoder.shorten(low)
        encoder.low, encoder.range = low, span
        model.learn(places)


def decode_scattered(decoder: Decoder, model: Model) -> Iterator[tuple[array[int], array[int]]]:
    """Decode round after round.

    Args:
        decoder: gives the steps.
        model: predicts the hazards; fresh.

    Yields:
        For each round the places of the nonzeros, ascending, and their values.

    Raises:
        FrameError: the coded bytes are corrupt.
    """
    signs, sizes = fresh(SIGN_CONTEXTS), fresh(DECISIONS * SIZE_CONTEXTS)
    tally: dict[int, int] = {}
    left = MAX_HITS
    for index in range(ROUNDS):
        sums, rows = model.begin(index)
        places, values = array("i"), array("i")
        try:
            _decode_round(decoder, sums, rows, places, values, signs, sizes, tally)
        except IndexError:
            raise FrameError(ENDED) from None
        left -= len(places)
        if left < 0:
            raise FrameError(f"more than {MAX_HITS} scattered symbols: the bytes are corrupt")
        model.learn(places)
        yield places, values


def _decode_round(
    decoder: Decoder,
    sums: Sequence[int],
    rows: Sequence[int],
    places: array[int],
    values: array[int],
    signs: list[int],
    sizes: list[int],
    tally: dict[int, int],
) -> None:
    """Append the places and values of a round's nonzeros; IndexError if the bytes end."""
    chances = _chances()
    stop = len(sums) - 1
    reach = _reach(sums)
    far = stop - reach
    code, span, data, byte = decoder.code, decoder.range, decoder.data, decoder.at
    start = base = 0
    while start < stop:
        near = start + reach if start < far else stop
        end = bisect_right(sums, base + BLOCK, start + 1, near + 1) - 1
        if end == near:
            end = bisect_right(sums, base + BLOCK, near, stop + 1) - 1
        if end > start:
            hazard = sums[end] - base
            ones = (span >> 16) * chances[hazard]
        else:
            end += 1
            hazard = sums[end] - base
            ones = (span >> 16) * hit_chance(hazard)
        if code >= ones:
            code -= ones
            span = (span & -65536) - ones
            if code >= span:
                raise FrameError(CORRUPT)
            start = end
            base += hazard
            while span < LOW:
                code = code << 8 | data[byte]
                byte += 1
                span <<= 8
            continue
        span = ones
        while span < LOW:
            code = code << 8 | data[byte]
            byte += 1
            span <<= 8
        if end > start + 1:
            unit = span // hazard
            target = code // unit
            if target >= hazard:
                raise FrameError(CORRUPT)
            start = bisect_right(sums, base + target, start, end)
            first = sums[start - 1]
            code -= unit * (first - base)
            base = sums[start]
            hazard = base - first
            span = unit * hazard
            while span < LOW:
                code = code << 8 | data[byte]
                byte += 1
                span <<= 8
        else:
            start = end
            base += hazard

        row = rows[start - 1]
        sign = tally.get(row, _EVEN)
        at = sign if 0 <= sign <= _LAST else 0 if sign < 0 else _LAST
        zeros, ones = signs[at], signs[at + 1]
        unit = span // (zeros + ones)
        span = unit * zeros
        if code < span:
            value = 1
            signs[at] = zeros + INCREMENT
            tally[row] = sign + 2
        else:
            value = -1
            code -= span
            span = unit * ones
            if code >= span:
                raise FrameError(CORRUPT)
            signs[at + 1] = ones + INCREMENT
            tally[row] = sign - 2
        if zeros + ones > FULL_COUNT:
            halve(signs, at)
        while span < LOW:
            code = code << 8 | data[byte]
            byte += 1
            span <<= 8

        at = _SIZE * ((hazard >= 1 << 12) + (hazard >= 1 << 14) + (hazard >= 1 << 16))
        zeros, ones = sizes[at], sizes[at + 1]
        small = span // (zeros + ones) * zeros
        if code < small:
            span = small
            sizes[at] = zeros + INCREMENT
            if zeros + ones > FULL_COUNT:
                halve(sizes, at)
            while span < LOW:
                code = code << 8 | data[byte]
                byte += 1
                span <<= 8
        else:
            decoder.code, decoder.range, decoder.at = code, span, byte
            size = 1 + decoder.integer(sizes, at >> 1)
            if size > 0x7FFFFFFF + (value < 0):
                raise FrameError(f"a symbol of {size} is beyond 32 bits: the bytes are corrupt")
            value *= size
            code, span, byte = decoder.code, decoder.range, decoder.at
        places.append(start - 1)
        values.append(value)
    decoder.code, decoder.range, decoder.at = code, span, byte


def _reach(sums: Sequence[int]) -> int:
    """As many cells as most blocks have at most: there the end of a block is looked for first."""
    return 4 + 4 * BLOCK * len(sums) // (sums[-1] + 1)


@cache
def _chances() -> Sequence[int]:
    """`hit_chance` of every sum of up to a block."""
    hazard = np.arange(BLOCK + 1)
    exp2 = np.array([*EXP2, 0])
    left, right = exp2[hazard >> 10 & 63], exp2[(hazard >> 10 & 63) + 1]
    empty = (left - ((left - right) * (hazard & 1023) >> 10)) >> (hazard >> 16)
    chances: memoryview[int] = memoryview((65536 - empty).clip(2, 65520).astype(np.uint16))
    return chances
