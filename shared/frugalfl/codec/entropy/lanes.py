"""Binary rANS in interleaved lanes, vectorised in numpy.

Asymmetric numeral systems (J. Duda, 2013), range variant, with many independent states that share
one stream of 16-bit words (after F. Giesen, "Interleaved entropy coders", 2014): symbol i of a
pass belongs to lane i mod L, so one numpy operation advances L symbols. Each symbol is a decision
with its own chance of being 1, in 1/4096. States stay in [2**16, 2**32).

A lane costs about one byte beyond its content, because its last state is written whole; bits that
are equally likely anyway ride for nothing in the first states, 16 to a lane.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from frugalfl.errors import FrameError

Bits = NDArray[np.bool_]
Chances = NDArray[np.uint16]

SCALE = 12
_TOTAL = 1 << SCALE
_LOWEST = 1 << 16
MAX_LOG_LANES = 11
_CACHED = 1 << 15  # symbols worked on at once, so that arrays stay in the cache
# numpy takes half as long over a constant that is an array already.
_WORD, _SHIFT, _SLOT, _LEAST = (
    np.array(value, np.uint32) for value in (16, SCALE, _TOTAL - 1, _LOWEST)
)
_COSTS = -np.log2(np.arange(1, _TOTAL + 1) / _TOTAL)
_EMPTY_LANE_BITS = 24.5
_FILLED_LANE_BITS = 8.5
_LANE_SHARE = 0.014  # of the payload, for what the lanes cost


def least_log_lanes(cells: int) -> int:
    """The fewest lanes allowed for so many cells, so that no frame is slow to decode."""
    return min(max((cells >> 14).bit_length() - 1, 0), MAX_LOG_LANES)


class Lanes(Protocol):
    """What the dense model needs of an encoder, a decoder or a cost counter."""

    def code(self, ones: Chances, bits: Bits | None) -> Bits:
        """Code one decision for each chance (of 4096) of being 1."""

    def defer(self, count: int, bits: Bits | None) -> None:
        """Code `count` equally likely bits; they come out of `finish`, last."""


class LaneEncoder:
    """Collects passes of decisions, then writes them backwards, as rANS needs."""

    def __init__(self) -> None:
        self._passes: list[tuple[Chances, Bits]] = []
        self._raw: list[Bits] = []

    def code(self, ones: Chances, bits: Bits | None) -> Bits:
        """Take one decision for each chance (of 4096) of being 1."""
        assert bits is not None
        self._passes.append((ones, bits))
        return bits

    def defer(self, count: int, bits: Bits | None) -> None:
        """Take `count` equally likely bits."""
        assert bits is not None
        self._raw.append(bits)

    def cost(self, stride: int = 1) -> float:
        """Ideal cost in bits of every `stride`-th decision, times `stride`."""
        total = float(sum(bits.size for bits in self._raw))
        for ones, bits in self._passes:
            chance = np.where(bits[::stride], ones[::stride], _TOTAL - ones[::stride])
            total += stride * float(_COSTS[chance - 1].sum())
        return total

    def finish(self, least: int = 0) -> tuple[int, bytes]:
        """Choose the lanes, write everything.

        Args:
            least: the smallest binary logarithm of their number to choose.

        Returns:
            The binary logarithm of the number of lanes, and the bytes, to be read from their end.
        """
        raw = np.concatenate([*self._raw, np.zeros(0, np.bool_)])
        log_lanes = max(choose_lanes(self.cost(stride=8), raw.size), least)
        lanes = 1 << log_lanes
        filled, rest = raw[: 16 * lanes], raw[16 * lanes :]
        padded = np.zeros(16 * lanes, np.bool_)
        padded[: filled.size] = filled
        state = np.packbits(padded, bitorder="little").view("<u2").astype(np.uint32) + _LOWEST
        blocks: list[NDArray[np.uint32]] = []
        for ones, bits in reversed([*self._passes, (np.full(rest.size, 2048, np.uint16), rest)]):
            _push(state, blocks, ones, bits)
        words = np.concatenate([state.astype("<u4").view("<u2"), *reversed(blocks)])
        return log_lanes, words.astype("<u2")[::-1].tobytes()  # the lower halves


def choose_lanes(cost: float, raw: int) -> int:
    """The binary logarithm of how many lanes a payload of so many bits pays for."""
    allowed = _LANE_SHARE * cost
    for log_lanes in range(MAX_LOG_LANES, 0, -1):
        filled = min(1 << log_lanes, raw // 16)
        empty = (1 << log_lanes) - filled
        if filled * _FILLED_LANE_BITS + empty * _EMPTY_LANE_BITS <= allowed:
            return log_lanes
    return 0


def _push(
    state: NDArray[np.uint32], blocks: list[NDArray[np.uint32]], ones: Chances, bits: Bits
) -> None:
    """Encode one pass, last symbol first; words go to `blocks`, last block first."""
    size = state.size * max(_CACHED // state.size, 1)
    for start in range((ones.size - 1) // size * size, -1, -size):
        _push_block(state, blocks, ones[start : start + size], bits[start : start + size])


def _push_block(
    state: NDArray[np.uint32], blocks: list[NDArray[np.uint32]], ones: Chances, bits: Bits
) -> None:
    lanes = state.size
    # A 1 owns the slots [0, ones), a 0 the slots [ones, 4096): branchless, as np.where is slow.
    sizes = ones.astype(np.uint32)
    zeros = np.logical_not(bits).view(np.uint8).astype(np.uint32)
    starts = sizes * zeros
    zeros <<= SCALE
    sizes += zeros
    sizes -= starts
    sizes -= starts
    bounds, gaps = sizes << 20, _TOTAL - sizes
    quotient, over = np.empty_like(state), np.empty(lanes, np.bool_)
    for at in range((sizes.size - 1) // lanes * lanes, -1, -lanes):
        row = slice(at, at + lanes)
        size = sizes[row]
        now, q, o = state, quotient, over
        if size.size < lanes:
            now, q, o = state[: size.size], quotient[: size.size], over[: size.size]
        np.greater_equal(now, bounds[row], o)
        full = o.nonzero()[0]
        if full.size:
            words = now[full]
            blocks.append(words)
            now[full] = words >> _WORD
        # state' = quotient * 4096 + remainder + start, without computing the remainder.
        np.floor_divide(now, size, q)
        q *= gaps[row]
        now += q
        now += starts[row]


class LaneDecoder:
    """Decodes passes in the order in which they were collected."""

    def __init__(self, data: bytes, start: int, log_lanes: int) -> None:
        self._lanes = 1 << log_lanes
        body = np.frombuffer(data, "<u2", (len(data) - start) // 2, start + (len(data) - start) % 2)
        words = body[::-1].astype(np.uint32)
        if words.size < 2 * self._lanes:
            raise FrameError(f"{len(data)} bytes cannot hold {self._lanes} lanes: truncated frame")
        heads = words[: 2 * self._lanes]
        self._state = heads[::2] | heads[1::2] << 16
        self._words = words
        self._at = 2 * self._lanes
        self._deferred = 0

    @property
    def used_bytes(self) -> int:
        """Bytes read from the end of the data."""
        return 2 * self._at

    def code(self, ones: Chances, bits: Bits | None = None) -> Bits:
        """Decode one decision for each chance (of 4096) of being 1."""
        lanes = self._lanes
        out = np.empty(ones.size, np.bool_)
        size = lanes * max(_CACHED // lanes, 1)
        whole = ones.size - ones.size % lanes
        for at in range(0, whole, size):
            end = min(at + size, whole)
            chances = ones[at:end].astype(np.uint32).reshape(-1, lanes)
            self._pop(lanes, chances, out[at:end].reshape(-1, lanes))
        if whole < ones.size:
            rest = ones[whole:].astype(np.uint32)[None]
            self._pop(rest.size, rest, out[whole:][None])
        return out

    def _pop(self, lanes: int, chances: NDArray[np.uint32], out: Bits) -> None:
        """Decode rows of symbols, one for each of the first `lanes` lanes, into `out`."""
        state, words, at = self._state[:lanes], self._words, self._at
        product, slot = np.empty_like(state), np.empty_like(state)
        low = np.empty(state.size, np.bool_)
        for chance, hit in zip(chances, out, strict=True):
            np.bitwise_and(state, _SLOT, slot)
            np.right_shift(state, _SHIFT, product)
            product *= chance
            np.less(slot, chance, hit)
            # A 1 goes to product + slot; a 0 to (4096 - chance) * (state >> 12) + slot - chance.
            slot += product
            state -= product
            state -= chance
            np.copyto(state, slot, where=hit)
            np.less(state, _LEAST, low)
            empty = low.nonzero()[0]
            if empty.size:
                until = at + empty.size
                if until > words.size:
                    raise FrameError("the lanes end before the last symbol: truncated frame")
                filled = state[empty] << _WORD
                filled |= words[at:until]
                state[empty] = filled
                at = until
        self._at = at

    def defer(self, count: int, bits: Bits | None = None) -> None:
        """Announce `count` equally likely bits."""
        self._deferred += count

    def finish(self) -> Bits:
        """All deferred bits.

        Raises:
            FrameError: the states are not those that an encoder starts from.
        """
        filled = min(self._deferred, 16 * self._lanes)
        rest = self.code(np.full(self._deferred - filled, _TOTAL // 2, np.uint16))
        if (self._state >> 16 != 1).any():
            raise FrameError("the lanes do not end where an encoder begins: corrupt frame")
        fill = np.unpackbits(self._state.astype("<u2").view(np.uint8), bitorder="little")
        if fill[filled:].any():
            raise FrameError("the lanes carry bits that nobody put there: corrupt frame")
        return np.concatenate([fill[:filled].astype(np.bool_), rest])
