"""``eden(bits)``: random rotation, then 1 to 4 bits an entry, unbiased by its scale.

EDEN (Vargaftik et al. 2022; 1 bit: DRIVE, Vargaftik et al. 2021). After a random rotation every
entry is close to normal, whatever the update looks like, so one small quantizer (Lloyd and Max's
for the normal distribution) fits all; the scale makes the mean over rotations right. The rotation
also spreads zeros and structure over all entries: `stochastic` with `range` uses them instead.

Blocks of 4,096 entries, the last one padded to a power of two, each with a float32 scale as side
information. The codes follow one another in symbols of 16 bits, lowest bits first: end the chain
with zstd.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from frugalfl.blocks import FloatArray, Shape
from frugalfl.calls import Call, arity, whole
from frugalfl.codec.buffer import Reader
from frugalfl.codec.entropy import mix
from frugalfl.codec.links import Family, Tensor, Transform
from frugalfl.codec.shapes import entries, split
from frugalfl.errors import FrameError, UsageError

#: Positive output levels of the quantizers with least error for a normal source (Max 1960).
_LEVELS = {
    1: (0.7979,),
    2: (0.4528, 1.5104),
    3: (0.2451, 0.7560, 1.3439, 2.1520),
    4: (0.1284, 0.3881, 0.6568, 0.9424, 1.2562, 1.6181, 2.0691, 2.7326),
}
_BLOCK = 4096
_WORD = 16
#: Keeps these signs apart from the rounding thresholds of the same seed.
_STREAM = 0x4544454E


class Eden(Transform):
    """Turns an update into one vector of packed symbols."""

    family: Family = "unbiased"

    def __init__(self, bits: int) -> None:
        self._bits = bits
        positive = np.array(_LEVELS[bits], np.float32)
        self._levels = np.concatenate([-positive[::-1], positive])
        self._edges = (self._levels[1:] + self._levels[:-1]) / 2

    def forward(self, tensors: list[Tensor], seed: int) -> tuple[list[Tensor], bytes]:
        """Return packed symbols, and one scale a block."""
        flat = np.concatenate([tensor.ravel() for tensor in tensors]).astype(np.float32)
        codes, scales = [], []
        for start, size in _blocks(flat.size):
            part = np.zeros(size, np.float32)
            values = flat[start : start + size]
            part[: values.size] = values
            rotated = _transform(part * _signs(seed, start, size))
            power = float(rotated @ rotated)
            normal = rotated / np.float32(np.sqrt(power / size) or 1)
            code = np.searchsorted(self._edges, normal).astype(np.uint8)
            along = float(rotated @ self._levels[code])
            scales.append(power / along if along else 0.0)
            codes.append(code)
        return [self._pack(np.concatenate(codes or [np.zeros(0, np.uint8)]))], np.array(
            scales, "<f4"
        ).tobytes()

    def backward(
        self, tensors: list[Tensor], side: Reader, shapes: Sequence[Shape], seed: int
    ) -> list[Tensor]:
        """Restore the levels, and rotate back."""
        total = entries(shapes)
        flat = np.zeros(total, np.float32)
        codes = self._unpack(tensors[0], sum(size for _, size in _blocks(total)))
        place = 0
        for start, size in _blocks(total):
            (scale,) = np.frombuffer(side.bytes(4), "<f4")
            if not np.isfinite(scale):
                raise FrameError("the frame's scales are not finite")
            with np.errstate(over="ignore", invalid="ignore"):
                part = _transform(self._levels[codes[place : place + size]]) * scale
            flat[start : start + size] = (part * _signs(seed, start, size))[: total - start]
            place += size
        return split(flat, shapes)

    def shapes_after(self, shapes: Sequence[Shape]) -> list[Shape]:
        """Return the shape of the packed vector."""
        coded = sum(size for _, size in _blocks(entries(shapes)))
        return [(-(-coded * self._bits // _WORD),)]

    def _pack(self, codes: npt.NDArray[np.uint8]) -> Tensor:
        bits = np.unpackbits(codes[:, None], axis=1, count=self._bits, bitorder="little")
        data = np.packbits(bits, bitorder="little")
        words = np.zeros(-(-data.size // 2), "<i2")
        words.view(np.uint8)[: data.size] = data
        return words.astype(np.int32)

    def _unpack(self, words: Tensor, count: int) -> npt.NDArray[np.uint8]:
        data = words.astype("<i2").view(np.uint8)
        bits = np.unpackbits(data, count=count * self._bits, bitorder="little")
        rows = bits.reshape(count, self._bits)
        return np.packbits(rows, axis=1, bitorder="little").ravel()


def _blocks(total: int) -> list[tuple[int, int]]:
    """Return start and padded size of each block."""
    return [
        (start, 1 << max(0, (min(_BLOCK, total - start) - 1).bit_length()))
        for start in range(0, total, _BLOCK)
    ]


def _signs(seed: int, start: int, size: int) -> FloatArray:
    words = mix(seed ^ _STREAM ^ start, size)
    return np.where(words >> np.uint32(31), np.float32(-1), np.float32(1)).astype(np.float32)


def _transform(values: FloatArray) -> FloatArray:
    """Return the orthonormal Walsh-Hadamard transform; it is its own inverse."""
    out = values.copy()
    half = 1
    while half < out.size:
        pairs = out.reshape(-1, 2, half)
        out = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], 1).reshape(-1)
        half *= 2
    return out / np.float32(np.sqrt(max(out.size, 1)))


def build(call: Call) -> Eden:
    """Read ``eden(1)``."""
    arity(call, 1)
    bits = whole(call.arguments[0], "eden")
    if bits not in _LEVELS:
        raise UsageError(f"eden takes 1 to {max(_LEVELS)} bits, not {bits}")
    return Eden(bits)
