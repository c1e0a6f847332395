"""Rounding with a dither by the compiled core: the bits of :mod:`frugalfl.codec.dithered`."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from frugalfl.blocks import FloatArray
from frugalfl.native.library import core


@cache
def _library() -> ctypes.CDLL:
    """Return the core, its functions described."""
    library = core()
    assert library is not None  # who calls has asked
    memory, word = ctypes.c_void_p, ctypes.c_uint32
    described: list[Any] = [memory, ctypes.c_size_t, ctypes.c_double, word, word, memory]
    library.fc_dither.argtypes = library.fc_undither.argtypes = described
    library.fc_undither.restype = None
    return library


def dither(
    tensors: Sequence[FloatArray], step: float, seed: int
) -> list[npt.NDArray[np.int32]] | None:
    """Return the symbols of tensors; nothing if a value is not finite, or beyond 2**31 steps."""
    symbols, first = [], 0
    for tensor in tensors:
        values, rounded = np.ascontiguousarray(tensor), np.empty(tensor.shape, np.int32)
        if _library().fc_dither(
            values.ctypes.data, values.size, step, seed, first, rounded.ctypes.data
        ):
            return None
        symbols.append(rounded)
        first += values.size
    return symbols


def undither(tensors: Sequence[npt.NDArray[np.int32]], step: float, seed: int) -> list[FloatArray]:
    """Return the values of symbols."""
    restored, first = [], 0
    for tensor in tensors:
        symbols, values = np.ascontiguousarray(tensor), np.empty(tensor.shape, np.float32)
        _library().fc_undither(
            symbols.ctypes.data, symbols.size, step, seed, first, values.ctypes.data
        )
        restored.append(values)
        first += symbols.size
    return restored
