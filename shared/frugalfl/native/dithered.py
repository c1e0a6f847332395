"""Rounding with a dither by the compiled core: the bits of :mod:`frugalfl.codec.dithered`."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from frugalfl.blocks import FloatArray
from frugalfl.native.library import core
from frugalfl.native.memory import address, contiguous


@cache
def _library() -> ctypes.CDLL:
    """Return the core, its functions described."""
    library = core()
    assert library is not None  # who calls has asked
    memory, word = ctypes.c_void_p, ctypes.c_uint32
    for function in (library.fc_dither, library.fc_undither):
        function.argtypes = [memory, ctypes.c_size_t, ctypes.c_double, word, word, memory]
    library.fc_undither.restype = None
    return library


def dither(
    tensors: Sequence[FloatArray], step: float, seed: int
) -> list[npt.NDArray[np.int32]] | None:
    """Return the symbols of tensors; nothing if a value is not finite, or beyond 2**31 steps."""
    symbols, first = [], 0
    for tensor in tensors:
        values, rounded = contiguous(tensor), np.empty(tensor.shape, np.int32)
        if _library().fc_dither(address(values), values.size, step, seed, first, address(rounded)):
            return None
        symbols.append(rounded)
        first += values.size
    return symbols


def undither(tensors: Sequence[npt.NDArray[np.int32]], step: float, seed: int) -> list[FloatArray]:
    """Return the values of symbols."""
    restored, first = [], 0
    for tensor in tensors:
        symbols, values = contiguous(tensor), np.empty(tensor.shape, np.float32)
        _library().fc_undither(address(symbols), symbols.size, step, seed, first, address(values))
        restored.append(values)
        first += symbols.size
    return restored
