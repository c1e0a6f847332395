"""Nonzeros row by row in the core: as `frugalfl.codec.entropy.rows`, the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import addressof, byref, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .grid import Shapes, array_of
from .library import function
from .memory import Room, address
from .range import Nonzeros, check, found_room

_room = Room()


def decode(data: bytes, shapes: Shapes) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Decode a frame of fewer than 2**31 cells as far as its nonzeros: places and values.

    Raises:
        FrameError: The bytes are not a frame of these shapes.
    """
    size, work, _ = _functions()
    found, array = found_room(), array_of(shapes)
    memory, held = _room.of(size)
    check(work(addressof(array), len(shapes), data, len(data), found.reference, memory, held.size))
    count = found.nonzeros.count
    return found.places[:count].astype(np.int64), found.values[:count].copy()


def encode(shapes: Shapes, places: NDArray[np.int64], values: NDArray[np.int32]) -> bytes:
    """Encode nonzeros, 32,768 at most, of fewer than 2**31 cells.

    Args:
        shapes: Rows and columns of each tensor.
        places: int64, shape (nonzeros,): counted through all tensors; rising.
        values: int32, shape (nonzeros,).
    """
    size, _, work = _functions()
    array, narrow = array_of(shapes), places.astype(np.uint32)
    known = Nonzeros(address(narrow), address(values), places.size, places.size)
    memory, held = _room.of(size)
    rows = sum(height * (1 + width // 4096) for height, width in shapes)
    out, written = np.empty(64 + 16 * places.size + 16 * rows, np.uint8), c_size_t()
    check(
        work(
            addressof(array), len(shapes), byref(known), address(out), out.size, byref(written),
            memory, held.size,
        )
    )  # fmt: skip
    return out[: written.value].tobytes()


@cache
def _functions() -> tuple[int, Callable[..., int], Callable[..., int]]:
    frame = (c_void_p, c_uint32)
    room = (c_void_p, c_size_t)
    return (
        function("fc_rows_room", c_size_t)(),
        function("fc_rows_decode", c_int, *frame, c_char_p, c_size_t, c_void_p, *room),
        function("fc_rows_encode", c_int, *frame, c_void_p, c_void_p, c_size_t, c_void_p, *room),
    )
