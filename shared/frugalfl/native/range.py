"""The range coder in C: as `frugalfl.codec.entropy.coded_tensors`, the same bytes.

Frames without lanes are bound by how many cells there are; those with lanes, by their nonzeros.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from ctypes import Structure, byref, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from functools import cache
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalfl.errors import FrameError

from .grid import Shapes, Tensors, Words
from .library import function
from .memory import Room, address

LANED = 0x40
MAX_HITS = 1 << 15
_MESSAGES = {
    1: "the coded bytes are corrupt: no symbol has this code",
    2: "the coded bytes end before the last symbol",
    3: "bytes are left over, or were read twice: corrupt frame",
    4: "a symbol is beyond 32 bits: the bytes are corrupt",
    5: f"more than {MAX_HITS} scattered symbols: the bytes are corrupt",
    6: "the flag byte is not one of this format",
}
_room = Room()


class Nonzeros(Structure):
    """``struct fc_nonzeros``."""

    _fields_ = (
        ("places", c_void_p),
        ("values", c_void_p),
        ("most", c_uint32),
        ("count", c_uint32),
    )


class _Found(threading.local):
    """One thread's room for the nonzeros of a frame without lanes."""

    def __init__(self) -> None:
        self.places = np.empty(MAX_HITS, np.uint32)
        self.values = np.empty(MAX_HITS, np.int32)
        self.nonzeros = Nonzeros(address(self.places), address(self.values), MAX_HITS, 0)
        self.reference = byref(self.nonzeros)


_found = _Found()


def found_room() -> _Found:
    """Return this thread's room for 32,768 nonzeros; its next call writes there."""
    return _found


def decode_nonzeros(
    data: bytes, shapes: Shapes, words: int | Words | None
) -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
    """Decode a frame without lanes as far as its nonzeros.

    Returns:
        Their places, rising, counted through all tensors, and their values; both lie in memory
        that this thread's next call writes.

    Raises:
        FrameError: The bytes are not a frame of these shapes.
    """
    ask, decode = _functions().nonzeros_room, _functions().decode_nonzeros
    tensors, found = Tensors(shapes, words), _found
    memory, held = _room.of(ask(tensors.reference, tensors.order, MAX_HITS))
    check(
        decode(
            tensors.reference, tensors.order, data, len(data), found.reference, memory, held.size
        )
    )
    count = found.nonzeros.count
    return found.places[:count], found.values[:count]


def decode_tensors(
    data: bytes, shapes: Shapes, words: int | Words | None
) -> list[NDArray[np.int32]]:
    """Decode any frame into tensors, which share one array.

    Raises:
        FrameError: The bytes are not a frame of these shapes.
    """
    ends = list(accumulate(rows * cols for rows, cols in shapes))
    flat = np.zeros(ends[-1] if ends else 0, np.int32)
    if data and data[0] & LANED:
        _decode_lanes(data, shapes, words, flat)
    else:
        places, values = decode_nonzeros(data, shapes, words)
        flat[places] = values
    return [
        flat[end - rows * cols : end].reshape(rows, cols)
        for (rows, cols), end in zip(shapes, ends, strict=True)
    ]


def nonzeros_of(
    data: bytes, shapes: Shapes, words: int | Words | None
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Decode any frame as far as its nonzeros: places, rising, and values.

    Raises:
        FrameError: The bytes are not a frame of these shapes.
    """
    if not data or not data[0] & LANED:
        places, values = decode_nonzeros(data, shapes, words)
        return places.astype(np.int64), values.copy()
    flat = np.zeros(sum(rows * cols for rows, cols in shapes), np.int32)
    _decode_lanes(data, shapes, words, flat)
    found = flat.nonzero()[0]
    return found, flat[found]


def _decode_lanes(
    data: bytes, shapes: Shapes, words: int | Words | None, flat: NDArray[np.int32]
) -> None:
    ask, decode = _functions().tensors_room, _functions().decode_tensors
    tensors = Tensors(shapes, words)
    memory, held = _room.of(ask(tensors.reference))
    check(decode(tensors.reference, data, len(data), address(flat), memory, held.size))


def encode_scattered(
    flats: Sequence[NDArray[np.int32]], shapes: Shapes, words: int | Words | None, nonzeros: int
) -> bytes:
    """Encode tensors with this many nonzeros, 32,768 at most, as a frame without lanes.

    Args:
        flats: The tensors, in C order.
        shapes: Rows and columns of each.
        words: The rounding thresholds that the decoder will know too.
        nonzeros: How many there are; at least one.
    """
    ask, encode = _functions().encode_room, _functions().encode_scattered
    tensors = Tensors(shapes, words)
    pointers = (c_void_p * len(flats))(*map(address, flats))
    memory, held = _room.of(ask(tensors.reference, None, tensors.order, nonzeros))
    written = c_size_t()
    out = np.empty(64 + 16 * nonzeros, np.uint8)
    check(
        encode(
            tensors.reference, tensors.order, pointers, nonzeros, address(out), out.size,
            byref(written), memory, held.size,
        )
    )  # fmt: skip
    return out[: written.value].tobytes()


def check(status: int) -> None:
    """Refuse a frame that the core refuses.

    Raises:
        FrameError: It does.
    """
    if status:
        raise FrameError(_MESSAGES.get(status, f"the native core refuses the frame ({status})"))


class _Functions:
    """The core's functions of `range.c`, with their types."""

    def __init__(self) -> None:
        grid: tuple[Any, ...] = (c_void_p, c_void_p)
        room: tuple[Any, ...] = (c_void_p, c_size_t)
        data: tuple[Any, ...] = (c_char_p, c_size_t)
        self.nonzeros_room = function("fc_nonzeros_room", c_size_t, *grid, c_uint32)
        self.decode_nonzeros = function("fc_decode_nonzeros", c_int, *grid, *data, c_void_p, *room)
        self.tensors_room = function("fc_tensors_room", c_size_t, c_void_p)
        self.decode_tensors = function("fc_decode_tensors", c_int, c_void_p, *data, c_void_p, *room)
        self.encode_room = function(
            "fc_encode_room", c_size_t, c_void_p, c_void_p, c_void_p, c_uint32
        )
        self.encode_scattered = function(
            "fc_encode_scattered", c_int, *grid, c_void_p, c_uint32, c_void_p, c_size_t, c_void_p,
            *room,
        )  # fmt: skip


_functions = cache(_Functions)
