"""The range coder in C: as `frugalfl.codec.entropy.coded_tensors`, the same bytes.

Frames without lanes are bound by how many cells there are; those with lanes, by their nonzeros.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from ctypes import Structure, byref, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from functools import cache
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalfl.errors import CodecError, FrameError

from .grid import Shapes, Tensors, Words
from .library import function
from .memory import Room, address

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


class _Nonzeros(Structure):
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
        self.nonzeros = _Nonzeros(address(self.places), address(self.values), MAX_HITS, 0)
        self.reference = byref(self.nonzeros)


_found = _Found()


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
    ask, decode, *_ = _functions()
    tensors, found = Tensors(shapes, words), _found
    memory, held = _room.of(ask(tensors.reference, tensors.order, MAX_HITS))
    _check(
        decode(
            tensors.reference, tensors.order, data, len(data), found.reference, memory, held.size
        )
    )
    count = found.nonzeros.count
    return found.places[:count], found.values[:count]


def decode_tensors(
    data: bytes, shapes: Shapes, words: int | Words | None
) -> list[NDArray[np.int32]]:
    """Decode the same into tensors, which share one array.

    Raises:
        FrameError: The bytes are not a frame of these shapes.
    """
    places, values = decode_nonzeros(data, shapes, words)
    ends = list(accumulate(rows * cols for rows, cols in shapes))
    flat = np.zeros(ends[-1] if ends else 0, np.int32)
    flat[places] = values
    return [
        flat[end - rows * cols : end].reshape(rows, cols)
        for (rows, cols), end in zip(shapes, ends, strict=True)
    ]


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
    *_, ask, encode = _functions()
    tensors = Tensors(shapes, words)
    pointers = (c_void_p * len(flats))(*map(address, flats))
    memory, held = _room.of(ask(tensors.reference, tensors.order, nonzeros))
    written = c_size_t()
    out = np.empty(64 + 16 * nonzeros, np.uint8)
    _check(
        encode(
            tensors.reference, tensors.order, pointers, nonzeros, address(out), out.size,
            byref(written), memory, held.size,
        )
    )  # fmt: skip
    return out[: written.value].tobytes()


def _check(status: int) -> None:
    if status:
        raise FrameError(_MESSAGES.get(status, f"the native core refuses the frame ({status})"))


@cache
def _functions() -> tuple[Callable[..., int], ...]:
    grid: tuple[Any, ...] = (c_void_p, c_void_p)
    room: tuple[Any, ...] = (c_void_p, c_size_t)
    return (
        function("fc_nonzeros_room", c_size_t, *grid, c_uint32),
        function("fc_decode_nonzeros", c_int, *grid, c_char_p, c_size_t, c_void_p, *room),
        function("fc_encode_room", c_size_t, *grid, c_uint32),
        function(
            "fc_encode_scattered", c_int, *grid, c_void_p, c_uint32, c_void_p, c_size_t, c_void_p,
            *room,
        ),
    )  # fmt: skip
