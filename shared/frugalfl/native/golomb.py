"""Golomb-Rice coded gaps in the core: `frugalfl.codec.golomb` has the layout."""

from __future__ import annotations

import ctypes as c
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .library import core
from .memory import address, contiguous

Array = npt.NDArray[Any]
Places = npt.NDArray[np.int64]
#: Numbers of `enum fc_status`.
ENDED, LEFT, LARGE = 2, 3, 4
_FULL = 8
#: The core counts places below this.
MOST_PLACES = (1 << 40) - 1


class Found(NamedTuple):
    """The symbols that are not 0.

    Attributes:
        places: int64, shape (nonzeros,): counted over all tensors; rising.
        negative: uint8, shape (nonzeros,): 1 for each -1.
    """

    places: Places
    negative: npt.NDArray[np.uint8]


@cache
def _typed(library: c.CDLL) -> c.CDLL:
    pointer, size = c.c_void_p, c.c_size_t
    library.fc_golomb_decode.argtypes = [
        pointer, size, size, c.c_uint32, c.c_uint64, pointer, pointer,
    ]  # fmt: skip
    library.fc_golomb_find.argtypes = [
        pointer, size, c.c_int64, pointer, pointer, size, pointer,
    ]  # fmt: skip
    library.fc_rice.argtypes = [pointer, size, c.c_uint32, pointer, pointer]
    library.fc_golomb_write.argtypes = [
        pointer, pointer, size, c.c_uint32, c.c_uint64, pointer, size,
    ]  # fmt: skip
    return library


def coder() -> Gaps | None:
    """Return what codes gaps; nothing if there is no core."""
    library = core()
    return None if library is None else Gaps(_typed(library))


class Gaps:
    """The core's coder of gaps."""

    def __init__(self, library: c.CDLL) -> None:
        self._core = library

    def decode(
        self, data: memoryview, count: int, rice: int, below: int
    ) -> tuple[int, Places, npt.NDArray[np.float32]]:
        """Read places and signs.

        Args:
            data: The bit stream, all of it.
            count: How many places.
            rice: Bits of each remainder.
            below: What the places are below.

        Returns:
            0, or a number of `enum fc_status`; places; float32 symbols, -1 and 1.
        """
        # A stream that cannot hold so many is not given the memory for them.
        if 8 * len(data) < count * (rice + 2):
            return ENDED, np.zeros(0, np.int64), np.zeros(0, np.float32)
        stream = np.frombuffer(data, np.uint8)
        places, symbols = np.empty(count, np.int64), np.empty(count, np.float32)
        status = self._core.fc_golomb_decode(
            address(stream), stream.size, count, rice, below, address(places), address(symbols)
        )
        return int(status), places, symbols

    def find(self, tensors: Sequence[Array]) -> Found | None:
        """Find what is not 0 in int32 tensors; nothing if a symbol is not -1, 0 or 1."""
        room = 1 << 10
        while True:
            found = self._find_within(tensors, room)
            if not isinstance(found, int):
                return found
            if found != _FULL:
                return None
            room *= 8

    def _find_within(self, tensors: Sequence[Array], room: int) -> Found | int:
        places, negative = np.empty(room, np.int64), np.empty(room, np.uint8)
        found, first = c.c_size_t(), 0
        for tensor in tensors:
            flat = contiguous(tensor)
            status = self._core.fc_golomb_find(
                address(flat), flat.size, first, address(places), address(negative), room,
                c.addressof(found),
            )  # fmt: skip
            if status:
                return int(status)
            first += flat.size
        return Found(places[: found.value], negative[: found.value])

    def encode(
        self, places: Places, negative: npt.NDArray[np.uint8] | None, more: int = 0
    ) -> tuple[int, bytes]:
        """Write rising places below 2**40, and signs if there are any.

        Args:
            places: int64, shape (nonzeros,).
            negative: uint8, shape (nonzeros,).
            more: How many bits more than one less than the largest gap has a remainder may have.

        Returns:
            The bits of a remainder, and the bit stream.
        """
        rice, unary = c.c_uint32(), c.c_uint64()
        places = contiguous(places)
        status = self._core.fc_rice(
            address(places), places.size, more, c.addressof(rice), c.addressof(unary)
        )
        signs = 0 if negative is None else places.size
        bits = unary.value + places.size * (rice.value + 1) + signs
        stream = np.empty((bits + 7) // 8, np.uint8)
        status = status or self._core.fc_golomb_write(
            address(places), 0 if negative is None else address(negative), places.size,
            rice.value, unary.value, address(stream), stream.size,
        )  # fmt: skip
        if status:
            raise ValueError("places do not rise from 0, or are beyond 2**40")
        return rice.value, stream.tobytes()
