"""A byte-wise range coder in integers, and its adaptive decisions.

Range coding after G. N. N. Martin (1979); carries are added to the bytes already written. The
encoder, the decoder and the cost counter have the same methods, each taking the value to
code (the decoder ignores it) and returning the value coded: a model is written once and runs
both ways, so the two sides cannot drift apart.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Protocol

from frugalfl.errors import FrameError

FULL = 0xFFFFFFFF
LOW = 1 << 24
_SCALE = 16
INCREMENT = 5  # counters start at 2: the Krichevsky-Trofimov estimate, nearly
DECISIONS = 33  # of an adaptive integer
CORRUPT = "the coded bytes are corrupt: no symbol has this code"
ENDED = "the coded bytes end before the last symbol"
LONG = 1 << 544  # adding to longer integers takes longer than moving their bytes out
FULL_COUNT = (1 << 13) - INCREMENT  # both counters together: from above it they are halved


def fresh(decisions: int) -> list[int]:
    """Counters of adaptive decisions: entry 2i counts zeros of decision i, 2i + 1 its ones."""
    return [2] * (2 * decisions)


def halve(counts: list[int], at: int) -> None:
    """Let the two counters from `at` on forget half."""
    counts[at] = (counts[at] + 1) >> 1
    counts[at + 1] = (counts[at + 1] + 1) >> 1


def _learn(counts: list[int], at: int, value: int) -> None:
    counts[at + value] += INCREMENT
    if counts[at] + counts[at + 1] > FULL_COUNT + INCREMENT:
        halve(counts, at)


class SymbolCoder(Protocol):
    """What the models need of an encoder, a decoder or a cost counter."""

    def bit(self, counts: list[int], index: int, value: int) -> int:
        """Code an adaptive decision and learn from it."""

    def integer(self, counts: list[int], first: int, value: int) -> int:
        """Code an integer >= 0, adaptively.

        Exponential Golomb with the 33 decisions from `first` on: the length without the leading
        1 in unary, then the other bits.
        """


class PickCoder(SymbolCoder, Protocol):
    """What a model of weighted choices needs besides."""

    def pick(self, sums: Sequence[int], start: int, stop: int, value: int) -> int:
        """Code an index in [start, stop), item i weighing `sums[i + 1] - sums[i]`."""


class PlaceCoder(PickCoder, Protocol):
    """What the scattered walk needs besides; for the encoder it is written out in `walk`."""

    def chance(self, ones: int, value: int) -> int:
        """Code a decision that is 1 with the chance `ones / 65536`, 1 <= ones <= 65535."""


class Encoder:
    """Writes decisions as bytes.

    Attributes:
        low: the interval's lower end: 32 bits, above them bytes that are not yet in the output,
            and above those a 1. A carry goes up into the bytes by itself.
        range: the interval's size, from 2**24 up to 2**32.
    """

    def __init__(self) -> None:
        self.low = 1 << 32
        self.range = FULL
        self._out = bytearray()

    def _code(self, start: int, size: int, total: int) -> None:
        unit = self.range // total
        self.low += unit * start
        span = unit * size
        while span < LOW:
            self.low <<= 8
            span <<= 8
        self.range = span
        if self.low > LONG:
            self.low = self.shorten(self.low)

    def shorten(self, low: int) -> int:
        """Move the whole bytes of `low` to the output; what is left of it."""
        count = (low.bit_length() - 33) // 8
        above = low >> 32
        if above >> 8 * count > 1:
            at = len(self._out) - 1
            while self._out[at] == 0xFF:
                self._out[at] = 0
                at -= 1
            self._out[at] += 1
        self._out += (above & (1 << 8 * count) - 1).to_bytes(count, "big")
        return 1 << 32 | low & FULL

    def bit(self, counts: list[int], index: int, value: int) -> int:
        """Code an adaptive decision and learn from it."""
        at = 2 * index
        zeros, ones = counts[at], counts[at + 1]
        if value:
            self._code(zeros, ones, zeros + ones)
        else:
            self._code(0, zeros, zeros + ones)
        _learn(counts, at, value)
        return value

    def chance(self, ones: int, value: int) -> int:
        """Code a decision that is 1 with the chance `ones / 65536`."""
        if value:
            self._code(0, ones, 1 << _SCALE)
        else:
            self._code(ones, (1 << _SCALE) - ones, 1 << _SCALE)
        return value

    def pick(self, sums: Sequence[int], start: int, stop: int, value: int) -> int:
        """Code an index in [start, stop), weighted by the differences of `sums`."""
        base = sums[start]
        self._code(sums[value] - base, sums[value + 1] - sums[value], sums[stop] - base)
        return value

    def integer(self, counts: list[int], first: int, value: int) -> int:
        """Code an integer >= 0, adaptively."""
        low, span = self.low, self.range
        length = (value + 1).bit_length() - 1
        for at in range(2 * first, 2 * (first + length) + 1, 2):
            zeros, ones = counts[at], counts[at + 1]
            unit = span // (zeros + ones)
            if at < 2 * (first + length):
                low += unit * zeros
                span = unit * ones
                counts[at + 1] = ones + INCREMENT
            else:
                span = unit * zeros
                counts[at] = zeros + INCREMENT
            if zeros + ones > FULL_COUNT:
                halve(counts, at)
            while span < LOW:
                low <<= 8
                span <<= 8
        for shift in range(length - 1, -1, -1):
            span >>= 1
            if value + 1 >> shift & 1:
                low += span
            while span < LOW:
                low <<= 8
                span <<= 8
        self.low = self.shorten(low) if low > LONG else low
        self.range = span
        return value

    def finish(self) -> bytes:
        """The bytes; the fewest that decode alike whatever follows them."""
        low = self.low & FULL
        for count in range(5):
            step = 1 << (32 - 8 * count)
            value = -(-low // step) * step
            if value + step <= low + self.range:
                break
        self.shorten(self.low + value - low)
        return bytes(self._out) + value.to_bytes(5, "big")[1 : 1 + count]


class Decoder:
    """Reads decisions from bytes; past their end it reads a few zeros, then refuses."""

    def __init__(self, data: bytes, start: int = 0) -> None:
        self.data = data + bytes(4)
        self.at = start + 4
        self.code = int.from_bytes(self.data[start : start + 4], "big")
        self.range = FULL

    def _target(self, total: int) -> int:
        self.range //= total
        target = self.code // self.range
        if target >= total:
            raise FrameError(CORRUPT)
        return target

    def _take(self, start: int, size: int) -> None:
        code = self.code - self.range * start
        span = self.range * size
        while span < LOW:
            if self.at >= len(self.data):
                raise FrameError(ENDED)
            code = code << 8 | self.data[self.at]
            self.at += 1
            span <<= 8
        self.code = code
        self.range = span

    def bit(self, counts: list[int], index: int, value: int = 0) -> int:
        """Decode an adaptive decision and learn from it."""
        at = 2 * index
        zeros, ones = counts[at], counts[at + 1]
        value = int(self._target(zeros + ones) >= zeros)
        if value:
            self._take(zeros, ones)
        else:
            self._take(0, zeros)
        _learn(counts, at, value)
        return value

    def chance(self, ones: int, value: int = 0) -> int:
        """Decode a decision that is 1 with the chance `ones / 65536`."""
        value = int(self._target(1 << _SCALE) < ones)
        if value:
            self._take(0, ones)
        else:
            self._take(ones, (1 << _SCALE) - ones)
        return value

    def pick(self, sums: Sequence[int], start: int, stop: int, value: int = 0) -> int:
        """Decode an index in [start, stop), weighted by the differences of `sums`."""
        base = sums[start]
        target = self._target(sums[stop] - base)
        value = bisect_right(sums, base + target, start, stop) - 1
        self._take(sums[value] - base, sums[value + 1] - sums[value])
        return value

    def integer(self, counts: list[int], first: int, value: int = 0) -> int:
        """Decode an integer >= 0, adaptively."""
        try:
            return self._integer(counts, first)
        except IndexError:
            raise FrameError(ENDED) from None

    def _integer(self, counts: list[int], first: int) -> int:
        code, span, data, byte = self.code, self.range, self.data, self.at
        length = 0
        while True:
            at = 2 * (first + length)
            zeros, ones = counts[at], counts[at + 1]
            unit = span // (zeros + ones)
            span = unit * zeros
            more = code >= span
            if more:
                code -= span
                span = unit * ones
                if code >= span:
                    raise FrameError(CORRUPT)
                counts[at + 1] = ones + INCREMENT
            else:
                counts[at] = zeros + INCREMENT
            if zeros + ones > FULL_COUNT:
                halve(counts, at)
            while span < LOW:
                code = code << 8 | data[byte]
                byte += 1
                span <<= 8
            if not more:
                break
            length += 1
            if length == DECISIONS:
                raise FrameError("a coded integer is beyond 32 bits")
        value = 1
        for _ in range(length):
            span >>= 1
            value <<= 1
            if code >= span:
                code -= span
                if code >= span:
                    raise FrameError(CORRUPT)
                value |= 1
            while span < LOW:
                code = code << 8 | data[byte]
                byte += 1
                span <<= 8
        self.code, self.range, self.at = code, span, byte
        return value - 1

    def spare_bytes(self) -> int:
        """Bytes not yet looked at: an exact stream leaves at most none, and looks 4 ahead."""
        return len(self.data) - 4 - self.at


class BitCounter:
    """Counts the ideal cost of decisions, in bits."""

    def __init__(self) -> None:
        self.bits = 0.0

    def bit(self, counts: list[int], index: int, value: int) -> int:
        """Count an adaptive decision and learn from it."""
        at = 2 * index
        self.bits += math.log2((counts[at] + counts[at + 1]) / counts[at + value])
        _learn(counts, at, value)
        return value

    def chance(self, ones: int, value: int) -> int:
        """Count a decision that is 1 with the chance `ones / 65536`."""
        self.bits += 16 - math.log2(ones if value else 65536 - ones)
        return value

    def pick(self, sums: Sequence[int], start: int, stop: int, value: int) -> int:
        """Count an index in [start, stop), weighted by the differences of `sums`."""
        self.bits += math.log2((sums[stop] - sums[start]) / (sums[value + 1] - sums[value]))
        return value

    def integer(self, counts: list[int], first: int, value: int) -> int:
        """Count an integer >= 0, adaptively."""
        length = (value + 1).bit_length() - 1
        for exponent in range(length + 1):
            self.bit(counts, first + exponent, int(exponent < length))
        self.bits += length
        return value


def code_signed(coder: SymbolCoder, counts: list[int], first: int, value: int) -> int:
    """Code a signed integer, adaptively: 34 decisions from `first` on."""
    size = coder.integer(counts, first + 1, abs(value))
    if size and coder.bit(counts, first, int(value < 0)):
        return -size
    return size
