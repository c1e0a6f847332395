"""Frames whose nonzeros are coded row by row: one flag byte, and the stream of `rows`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from frugalfl.errors import FrameError
from frugalfl.native import core
from frugalfl.native import rows as native

from .rangecoder import BitCounter, Decoder, Encoder
from .rows import code_rows
from .scatter import MAX_HITS, Hit

#: The flag byte.
BY_ROWS = 0x20
_NATIVE_CELLS = 1 << 31

Shape = tuple[int, int]
Nonzeros = tuple[NDArray[np.int64], NDArray[np.int32]]  # flat places, rising; values


def nonzeros_of(flats: Sequence[NDArray[np.int32]]) -> Nonzeros | None:
    """Return the nonzeros of tensors together; nothing if there are more than rows can code."""
    hits = [flat.nonzero()[0] for flat in flats]
    if sum(hit.size for hit in hits) > MAX_HITS:
        return None
    starts = accumulate((flat.size for flat in flats), initial=0)
    return (
        np.concatenate([hit + start for hit, start in zip(hits, starts, strict=False)]),
        np.concatenate([flat[hit] for flat, hit in zip(flats, hits, strict=True)]),
    )


def encode_rows(shapes: Sequence[Shape], nonzeros: Nonzeros) -> bytes:
    """Encode at most MAX_HITS nonzeros of tensors of these shapes as a frame."""
    if core() is not None:
        return native.encode(tuple(shapes), *nonzeros)
    coder = Encoder()
    for _ in code_rows(coder, shapes, _by_tensor(shapes, nonzeros)):
        pass
    return bytes([BY_ROWS]) + coder.finish()


def count_rows(shapes: Sequence[Shape], nonzeros: Nonzeros) -> float:
    """Return the ideal cost of all decisions (bit)."""
    coder = BitCounter()
    for _ in code_rows(coder, shapes, _by_tensor(shapes, nonzeros)):
        pass
    return coder.bits


def decode_rows(data: bytes, shapes: Sequence[Shape]) -> Nonzeros:
    """Decode a frame as far as its nonzeros.

    Raises:
        FrameError: The bytes are not a frame of these shapes.
    """
    if core() is not None and sum(rows * cols for rows, cols in shapes) < _NATIVE_CELLS:
        return native.decode(data, tuple(shapes))
    coder = Decoder(data, 1)
    places: list[int] = []
    values: list[int] = []
    starts = accumulate((rows * cols for rows, cols in shapes), initial=0)
    for start, hits in zip(starts, code_rows(coder, shapes, [()] * len(shapes)), strict=False):
        places += [start + hit.place for hit in hits]
        values += [hit.value for hit in hits]
    if coder.spare_bytes() > 0:
        raise FrameError("bytes are left over, or were read twice: corrupt frame")
    return np.array(places, np.int64), np.array(values, np.int32)


def _by_tensor(shapes: Sequence[Shape], nonzeros: Nonzeros) -> list[list[Hit]]:
    """Return the nonzeros of each tensor, with places counted from its beginning."""
    places, values = nonzeros
    starts = [0, *accumulate(rows * cols for rows, cols in shapes)]
    edges = places.searchsorted(starts).tolist()
    return [
        list(map(Hit, (places[a:b] - start).tolist(), values[a:b].tolist()))
        for a, b, start in zip(edges, edges[1:], starts, strict=False)
    ]
