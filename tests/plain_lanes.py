"""Dense tensors in plain Python: `lanes` and `dense`, one symbol at a time."""

from __future__ import annotations

from collections.abc import Iterable

from frugalfl.codec.entropy.chance_tables import LEVELS, SIGN_LEVELS
from frugalfl.codec.entropy.rangecoder import Decoder, code_signed, fresh
from frugalfl.errors import FrameError

_EVEN = 40
_RAW_SIGN = 7
_UNARY = 14
_TREE, _PAIR, _MORE, _TAIL = 0, 34, 68, 102


class PlainLanes:
    """Interleaved binary rANS states over one stream of 16-bit words, read from the end."""

    def __init__(self, data: bytes, log_lanes: int) -> None:
        self._data = data
        self._at = len(data)
        self._states = []
        if (len(data) - 1) // 2 < 2 << log_lanes:
            raise FrameError(f"{len(data)} bytes cannot hold {1 << log_lanes} lanes")
        for _ in range(1 << log_lanes):
            low = self._word()
            self._states.append(low | self._word() << 16)
        self._deferred = 0

    @property
    def used_bytes(self) -> int:
        """Bytes read from the end of the data."""
        return len(self._data) - self._at

    def _word(self) -> int:
        self._at -= 2
        if self._at < 1:
            raise FrameError("the lanes end before the last symbol: truncated frame")
        return self._data[self._at] | self._data[self._at + 1] << 8

    def code(self, ones: Iterable[int]) -> list[int]:
        """Decode one pass: a decision for each chance (of 4096) of being 1."""
        out = []
        count = len(self._states)
        for index, chance in enumerate(ones):
            lane = index % count
            state = self._states[lane]
            slot = state & 4095
            hit = int(slot < chance)
            if hit:
                state = chance * (state >> 12) + slot
            else:
                state = (4096 - chance) * (state >> 12) + slot - chance
            if state < 1 << 16:
                state = state << 16 | self._word()
            self._states[lane] = state
            out.append(hit)
        return out

    def defer(self, count: int) -> None:
        """Announce equally likely bits that come last."""
        self._deferred += count

    def finish(self) -> list[int]:
        """The deferred bits: 16 from the last state of each lane, then a pass."""
        filled = min(self._deferred, 16 * len(self._states))
        rest = self.code([2048] * (self._deferred - filled))
        if any(state >> 16 != 1 for state in self._states):
            raise FrameError("the lanes do not end where an encoder begins: corrupt frame")
        fill = [state >> bit & 1 for state in self._states for bit in range(16)]
        if any(fill[filled:]):
            raise FrameError("the lanes carry bits that nobody put there: corrupt frame")
        return fill[:filled] + rest


class PlainDense:
    """`dense.DenseCoder`, decoding only."""

    def __init__(self, scalar: Decoder, lanes: PlainLanes) -> None:
        self._scalar = scalar
        self._lanes = lanes
        self._counts = fresh(_TAIL + 34)
        self._flags = fresh(_UNARY + 1)

    def decode(self, rows: int, cols: int) -> tuple[dict[int, int], list[int]]:
        """The nonzeros by flat index, and which of them still wait for their sign."""
        row_class, col_class = self._classes(rows), self._classes(cols)
        live_rows = [row for row in range(rows) if row_class[row]]
        live_cols = [col for col in range(cols) if col_class[col]]
        sign_class = dict(zip(live_rows, self._classes(len(live_rows)), strict=True))
        levels = self._pair_levels(sorted(set(row_class) - {0}), sorted(set(col_class) - {0}))

        cells = [(row, col) for row in live_rows for col in live_cols]
        pairs = [levels[row_class[row], col_class[col]] for row, col in cells]
        nonzero = self._lanes.code(LEVELS[level] for level in pairs)
        hits = [
            (cell, level) for cell, level, hit in zip(cells, pairs, nonzero, strict=True) if hit
        ]
        classes = [sign_class[row] for (row, _), _ in hits]
        if max(classes, default=0) >= len(SIGN_LEVELS):
            raise FrameError("there is no such sign class: the bytes are corrupt")
        minus = iter(self._lanes.code(SIGN_LEVELS[c] for c in classes if c != _RAW_SIGN))
        signs = [1 if c == _RAW_SIGN or not next(minus) else -1 for c in classes]
        places = [row * cols + col for (row, col), _ in hits]
        raw = [place for place, c in zip(places, classes, strict=True) if c == _RAW_SIGN]
        self._lanes.defer(len(raw))
        sizes = self._sizes([level >> 2 for _, level in hits])
        values = (sign * size for sign, size in zip(signs, sizes, strict=True))
        return dict(zip(places, values, strict=True)), raw

    def _level(self, base: int, predicted: int) -> int:
        level = predicted + code_signed(self._scalar, self._counts, base, 0)
        if not 0 <= level < len(LEVELS):
            raise FrameError(f"there is no chance level {level}: the bytes are corrupt")
        return level

    def _classes(self, count: int) -> list[int]:
        prefix = [0] * count
        for depth in range(4):
            chances = [LEVELS[self._level(_TREE, _EVEN)] for _ in range(1 << depth)]
            bits = self._lanes.code([chances[value] for value in prefix])
            prefix = [value << 1 | bit for value, bit in zip(prefix, bits, strict=True)]
        return prefix

    def _pair_levels(self, rows: list[int], cols: list[int]) -> dict[tuple[int, int], int]:
        levels: dict[tuple[int, int], int] = {}
        above: list[int] = []
        for row in rows:
            line: list[int] = []
            for at, col in enumerate(cols):
                if above and line:
                    predicted = min(max(line[-1] + above[at] - above[at - 1], 0), 63)
                else:
                    predicted = line[-1] if line else above[0] if above else _EVEN
                line.append(self._level(_PAIR, predicted))
                levels[row, col] = line[-1]
            above = line
        return levels

    def _sizes(self, bucket: list[int]) -> list[int]:
        sizes = [1] * len(bucket)
        alive = list(range(len(bucket)))
        for size in range(1, _UNARY + 1):
            if not self._scalar.bit(self._flags, size):
                return sizes
            chances: dict[int, int] = {}
            last = _EVEN
            for index in sorted({bucket[place] for place in alive}):
                last = self._level(_MORE, last)
                chances[index] = LEVELS[last]
            more = self._lanes.code([chances[bucket[place]] for place in alive])
            alive = [place for place, bit in zip(alive, more, strict=True) if bit]
            for place in alive:
                sizes[place] += 1
        for place, excess in zip(alive, self._excess(len(alive)), strict=True):
            sizes[place] = excess + _UNARY
        return sizes

    def _excess(self, count: int) -> list[int]:
        exponent = [0] * count
        alive = list(range(count))
        while alive:
            chance = LEVELS[self._level(_TAIL, _EVEN)]
            more = self._lanes.code([chance] * len(alive))
            alive = [place for place, bit in zip(alive, more, strict=True) if bit]
            for place in alive:
                exponent[place] += 1
            if alive and exponent[alive[0]] > 31:
                raise FrameError("a symbol is beyond 32 bits: the bytes are corrupt")
        value = [1] * count
        for shift in range(max(exponent, default=0) - 1, -1, -1):
            part = [place for place in range(count) if exponent[place] > shift]
            for place, bit in zip(part, self._lanes.code([2048] * len(part)), strict=True):
                value[place] = value[place] << 1 | bit
        return value
