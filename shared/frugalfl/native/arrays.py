"""What numpy arrays look like to the core: addresses of contiguous memory."""

from __future__ import annotations

import ctypes as c
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def address(array: Array) -> int:
    """Return where an array's memory begins; it must be C-contiguous, and outlive the call."""
    try:  # three times as quick as the array's own answer
        return c.addressof(c.c_char.from_buffer(array))  # type: ignore[arg-type]
    except (TypeError, ValueError):  # read-only, or empty
        start: int = array.ctypes.data
        return start


def contiguous(array: Array) -> Array:
    """Return the array, or a copy if its memory is not in C order."""
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)
