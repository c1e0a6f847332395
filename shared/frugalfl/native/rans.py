"""``rans`` by the compiled core (`shared/core/rans.c`): the bytes of :mod:`frugalfl.codec.rans`."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from frugalfl.native.library import core

_KEEP = 1
_WIDTH = 4
#: Bytes of a payload at most, besides those of symbols, and a symbol.
_HEAD, _MOST = 6, 7


@cache
def _library() -> ctypes.CDLL:
    """Return the core, its functions described."""
    library = core()
    assert library is not None  # who calls has asked
    word, size, memory = ctypes.c_uint32, ctypes.c_size_t, ctypes.c_void_p
    library.fc_rans_room.argtypes = [word]
    library.fc_rans_room.restype = size
    vector: list[Any] = [memory, word, word, word, word]
    room: list[Any] = [memory, size]
    library.fc_rans_encode.argtypes = [*vector, memory, size, memory, *room]
    library.fc_rans_decode.argtypes = [ctypes.c_char_p, size, *vector, *room]
    return library


class _Room(threading.local):
    """What a thread keeps between calls: the core's tables, symbols, and a payload.

    Copying into memory of which the address is known is quicker than asking for an address.
    """

    def __init__(self) -> None:
        self.size = _library().fc_rans_room(_KEEP)
        # Zeros of this size are pages that take no memory before they are written.
        self._tables = np.zeros(self.size // 4 + 1, np.uint32)
        self.address = self._tables.ctypes.data
        self._written = ctypes.c_size_t()
        self.written = ctypes.addressof(self._written)
        self._make(1024)

    def _make(self, most: int) -> None:
        self._symbols = np.empty(most, np.int32)
        self.symbols_address = self._symbols.ctypes.data
        self.payload_size = _HEAD + _MOST * most
        self._payload = np.empty(self.payload_size, np.uint8)
        self.payload_address = self._payload.ctypes.data

    def symbols(self, count: int) -> npt.NDArray[np.int32]:
        """Return memory for so many symbols; there is room for their payload, too."""
        if self._symbols.size < count:
            self._make(count)
        return self._symbols[:count]

    def payload(self) -> bytes:
        """Return what was written."""
        return ctypes.string_at(self.payload_address, self._written.value)


_room = cache(_Room)


def encode(tensors: Sequence[npt.NDArray[np.int32]], seed: int | None) -> bytes:
    """Return the payload of symbols.

    Args:
        tensors: Of any shapes.
        seed: Seed of the update, if it was rounded with a dither.
    """
    room = _room()
    count = sum(tensor.size for tensor in tensors)
    if not count:
        return b""
    np.concatenate([tensor.ravel() for tensor in tensors], out=room.symbols(count))
    status = _library().fc_rans_encode(
        room.symbols_address, _WIDTH, count, seed is not None, seed or 0,
        room.payload_address, room.payload_size, room.written, room.address, room.size,
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
    symbols = room.symbols(count)
    status = _library().fc_rans_decode(
        data, len(data), room.symbols_address, _WIDTH, count, seed is not None, seed or 0,
        room.address, room.size,
    )  # fmt: skip
    return None if status else symbols.copy()
