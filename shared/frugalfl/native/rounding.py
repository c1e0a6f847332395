"""Rounding in the core: what `frugalfl.codec.entropy.rounding` does, to the same bits."""

from __future__ import annotations

import ctypes as c
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from .library import core
from .memory import address, contiguous

Array = npt.NDArray[Any]
Symbols = npt.NDArray[np.int32]
_INFINITE = 0x7F800000
_WORDS = 1 << 32


@cache
def _typed(library: c.CDLL) -> c.CDLL:
    pointer, size = c.c_void_p, c.c_size_t
    library.fc_mix.argtypes = [c.c_uint32, c.c_uint32, size, pointer]
    library.fc_mix.restype = None
    library.fc_largest.argtypes = [pointer, size]
    library.fc_largest.restype = c.c_uint32
    library.fc_round_shared.argtypes = [
        pointer, size, c.c_double, c.c_uint32, c.c_uint32, pointer,
    ]  # fmt: skip
    library.fc_round_nearest.argtypes = [pointer, size, c.c_float, c.c_float, pointer]
    library.fc_whole_multiples.argtypes = [pointer, size, c.c_double, pointer]
    library.fc_excess.argtypes = [pointer, pointer, size, c.c_double, pointer, pointer]
    library.fc_excess.restype = None
    library.fc_restore.argtypes = [pointer, size, c.c_double, pointer, pointer]
    library.fc_restore.restype = None
    return library


def rounder(*arrays: Array) -> Rounder | None:
    """Return what rounds float32; nothing if there is no core, or an array is of another type."""
    library = core()
    if library is None or any(array.dtype != np.float32 for array in arrays):
        return None
    return Rounder(_typed(library))


class Rounder:
    """The core's rounding of float32 arrays of any shape."""

    def __init__(self, library: c.CDLL) -> None:
        self._core = library

    def mix(self, seed: int, count: int, first: int) -> npt.NDArray[np.uint32] | None:
        """Return words of a seed; nothing if their numbers leave 32 bits."""
        if not 0 <= first <= first + count <= _WORDS:
            return None
        words = np.empty(count, np.uint32)
        self._core.fc_mix(seed & (_WORDS - 1), first & (_WORDS - 1), count, address(words))
        return words

    def finite(self, values: Array) -> bool:
        """Say whether no value is NaN or infinite."""
        values = contiguous(values)
        return int(self._core.fc_largest(address(values), values.size)) < _INFINITE

    def largest(self, values: Array) -> float:
        """Return the largest magnitude, 0 if there is none; NaN if any value is."""
        values = contiguous(values)
        bits = np.uint32(self._core.fc_largest(address(values), values.size))
        return float(bits.view(np.float32))

    def against_words(self, values: Array, step: float, seed: int, first: int) -> Symbols | None:
        """Round to multiples of a positive step against a seed's words from number ``first`` on.

        Returns:
            Symbols of the values' shape; nothing if one is not finite, or beyond 2**31 steps.
        """
        flat, symbols = contiguous(values), np.empty(values.shape, np.int32)
        status = self._core.fc_round_shared(
            address(flat), flat.size, step, seed & (_WORDS - 1), first & (_WORDS - 1),
            address(symbols),
        )  # fmt: skip
        return None if status else symbols

    def to_nearest(self, values: Array, per_step: float, up: float) -> Symbols | None:
        """Round ``|value| * per_step + up`` down, with the value's sign.

        Returns:
            As :meth:`against_words`.
        """
        flat, symbols = contiguous(values), np.empty(values.shape, np.int32)
        status = self._core.fc_round_nearest(
            address(flat), flat.size, per_step, up, address(symbols)
        )
        return None if status else symbols

    def exactly(self, values: Array, per_step: float) -> Symbols | None:
        """Multiply; nothing if a product is no whole number, or one beyond 31 bits and a sign."""
        flat, symbols = contiguous(values), np.empty(values.shape, np.int32)
        status = self._core.fc_whole_multiples(address(flat), flat.size, per_step, address(symbols))
        return None if status else symbols

    def excess(
        self, tensors: Sequence[Array], symbols: Sequence[Symbols], step: float
    ) -> tuple[Array, Array]:
        """Return by how much sizes 1, 2 and 3 up were larger in all, in steps, and their numbers.

        Returns:
            float64 and uint64, shape (3,).
        """
        sums, counts = np.zeros(3), np.zeros(3, np.uint64)
        for tensor, symbol in zip(tensors, symbols, strict=True):
            flat, of_flat = contiguous(tensor), contiguous(symbol)
            self._core.fc_excess(
                address(flat), address(of_flat), flat.size, step, address(sums), address(counts)
            )
        return sums, counts


def restore(symbols: Symbols, step: float, offsets: Array) -> npt.NDArray[np.float32] | None:
    """Return ``(symbol, shifted by its size's offset) * step``; nothing if there is no core.

    Args:
        symbols: int32, any shape.
        step: Between two symbols.
        offsets: float64, shape (4,): of sizes 0, 1, 2 and 3 up.
    """
    library = core()
    if library is None or symbols.dtype != np.int32:
        return None
    flat, values = contiguous(symbols), np.empty(symbols.shape, np.float32)
    _typed(library).fc_restore(address(flat), flat.size, step, address(offsets), address(values))
    return values
