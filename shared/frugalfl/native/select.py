"""The largest values of an update, found in the core without sorting."""

from __future__ import annotations

import ctypes as c
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .library import core
from .memory import address, contiguous

Array = npt.NDArray[Any]


class Rank(NamedTuple):
    """The magnitude at one rank.

    Attributes:
        least: It.
        above: How many values are larger.
        equal: How many are as large.
    """

    least: float
    above: int
    equal: int


@cache
def _typed(library: c.CDLL) -> c.CDLL:
    pointer, size = c.c_void_p, c.c_size_t
    library.fc_rank.argtypes = [pointer, size, size, pointer, pointer, pointer]
    library.fc_keep_from.argtypes = [pointer, size, c.c_float]
    library.fc_keep_from.restype = None
    return library


def rank_of(values: Array, rank: int) -> Rank | None:
    """Return the magnitude that is number ``rank`` from the largest (1) on.

    Returns:
        Nothing if there is no core, or none that takes these values.
    """
    library = core()
    if library is None or values.dtype != np.float32:
        return None
    flat = contiguous(values)
    least, above, equal = c.c_float(), c.c_size_t(), c.c_size_t()
    status = _typed(library).fc_rank(
        address(flat), flat.size, rank, c.addressof(least), c.addressof(above), c.addressof(equal)
    )
    return None if status else Rank(least.value, above.value, equal.value)


def keep_from(values: Array, least: float) -> None:
    """Zero what is smaller than ``least`` in a contiguous float32 array; needs the core."""
    library = core()
    assert library is not None and values.flags.c_contiguous
    _typed(library).fc_keep_from(address(values), values.size, least)
