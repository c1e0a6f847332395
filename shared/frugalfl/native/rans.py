"""``rans`` by the compiled core (`shared/core/rans.c`): the bytes of :mod:`frugalfl.codec.rans`."""

from __future__ import annotations

import ctypes
import threading
from functools import cache

import numpy as np
import numpy.typing as npt

from frugalfl.native.library import core

_KEEP = 1
_WIDTH = 4
#: Most bytes of a payload besides its symbols', and of a symbol.
_HEAD, _MOST = 6, 7


@cache
def _library() -> ctypes.CDLL:
    """Return the core, its functions described."""
    library = core()
    assert library is not None  # who calls has asked
    word, size, memory = ctypes.c_uint32, ctypes.c_size_t, ctypes.c_void_p
    library.fc_rans_room.argtypes = [word]
    library.fc_rans_room.restype = size
    vector, room = [memory, word, word, word, word], [memory, size]
    library.fc_rans_encode.argtypes = [*vector, memory, size, memory, *room]
    library.fc_rans_decode.argtypes = [ctypes.c_char_p, size, *vector, *room]
    return library


class _Room(threading.local):
    """What a thread keeps between calls: tables, and the output of the longest call so far."""

    def __init__(self) -> None:
        self.size = _library().fc_rans_room(_KEEP)
        # Zeros of this size are pages that take no memory before they are written.
        self._tables = np.zeros(self.size // 4 + 1, np.uint32)
        self.address = self._tables.ctypes.data
        self._written = ctypes.c_size_t()
        self.written = ctypes.addressof(self._written)
        self._output = np.empty(0, np.uint8)
        self.output = 0

    def space(self, count: int) -> int:
        """Make room for the payload of so many symbols; return its size (B)."""
        size = _HEAD + _MOST * count
        if self._output.size < size:
            self._output = np.empty(size, np.uint8)
            self.output = self._output.ctypes.data
        return size

    def payload(self) -> bytes:
        """Return what was written."""
        return ctypes.string_at(self.output, self._written.value)


_room = cache(_Room)


def encode(symbols: npt.NDArray[np.int32], seed: int | None) -> bytes:
    """Return the payload of symbols.

    Args:
        symbols: Shape (n,), one after the other in memory.
        seed: Seed of the update, if it was rounded with a dither.
    """
    room = _room()
    size = room.space(symbols.size)
    status = _library().fc_rans_encode(
        symbols.ctypes.data, _WIDTH, symbols.size, seed is not None, seed or 0,
        room.output, size, room.written, room.address, room.size,
    )  # fmt: skip
    assert status == 0, status
    return room.payload()


def decode(data: bytes, count: int, seed: int | None) -> npt.NDArray[np.int32] | None:
    """Return so many symbols; nothing if no encoder writes such bytes.

    Args:
        data: The payload.
        count: Symbols that it holds.
        seed: Seed of the update, if it was rounded with a dither.
    """
    room = _room()
    symbols = np.empty(count, np.int32)
    status = _library().fc_rans_decode(
        data, len(data), symbols.ctypes.data, _WIDTH, count, seed is not None, seed or 0,
        room.address, room.size,
    )  # fmt: skip
    return None if status else symbols
