"""Adding decoded updates to a sum in the core: float32, one update after the other."""

from __future__ import annotations

import ctypes as c
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from .library import core
from .memory import address

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]


@cache
def _typed(library: c.CDLL) -> c.CDLL:
    pointer, size = c.c_void_p, c.c_size_t
    library.fc_add_sparse.argtypes = [
        pointer, size, pointer, c.c_int64, pointer, size, c.c_float,
    ]  # fmt: skip
    library.fc_add_dense.argtypes = [pointer, pointer, size, c.c_float]
    library.fc_add_dense.restype = None
    library.fc_mean.argtypes = [pointer, pointer, size, c.c_float]
    library.fc_mean.restype = None
    return library


def add_sparse(
    total: Floats, places: npt.NDArray[np.int64], values: Floats, weight: float, shift: int = 0
) -> None:
    """Multiply values by a weight, in place, and add them to a sum.

    Args:
        total: float32, shape (entries,); contiguous.
        places: int64, shape (nonzeros,): each within ``total`` once ``shift`` is added; rising.
        values: float32, shape (nonzeros,); contiguous.
        weight: What the values are multiplied by.
        shift: By how much further on the places lie in ``total``.

    Raises:
        IndexError: A place is not within the sum; nothing was added.
    """
    library = core()
    # From a decoder, places and values have types that the core takes.
    if library is None or not (places.dtype == np.int64 and values.flags.c_contiguous):
        values *= np.float32(weight)
        np.add.at(total, places + shift if shift else places, values)
        return
    status = _typed(library).fc_add_sparse(
        address(total), total.size, address(places), shift, address(values), places.size, weight
    )
    if status:
        raise IndexError(f"a place is not within a sum of {total.size} entries")


def add_dense(total: Floats, values: Floats, weight: float) -> None:
    """Multiply values by a weight, in place, and add them to a sum of the same shape."""
    library = core()
    if library is None or not _plain(total, values):
        values *= np.float32(weight)
        total += values
        return
    _typed(library).fc_add_dense(address(total), address(values), values.size, weight)


def turn_into_mean(total: Floats, model: Array, weight: float) -> None:
    """Divide a sum by a weight, in place, and add what it is to be added to, of the same shape."""
    library = core()
    if library is None or not _plain(total, model):
        total /= np.float32(weight)
        total += model
        return
    _typed(library).fc_mean(address(total), address(model), total.size, weight)


def _plain(*arrays: Array) -> bool:
    """Say whether the core can take these: contiguous float32."""
    return all(array.flags.c_contiguous and array.dtype == np.float32 for array in arrays)
