"""Runs the readable Python in the place of the compiled core, in the same process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from unittest import mock

import numpy as np
import pytest

from frugalfl.errors import FrugalFLError
from frugalfl.native import core, library

T = TypeVar("T")

#: For tests that compare both: without a compiler there is nothing to compare.
needs_core = pytest.mark.skipif(core() is None, reason="the core is not compiled here")


@contextmanager
def in_python() -> Iterator[None]:
    """Have Python compute everything, as with ``FRUGALFL_NATIVE=0``."""
    with mock.patch.object(library, "_load", lambda: (None, "switched off by a test")):
        yield


def told(work: Callable[[], T]) -> T | str:
    """Return what work returns, or the line with which it refuses."""
    try:
        return work()
    except FrugalFLError as error:
        return f"{type(error).__name__}: {error}"


def both(work: Callable[[], T]) -> tuple[T | str, T | str]:
    """Return what the core and what Python make of the same work; numpy's warnings are ignored."""
    with np.errstate(all="ignore"):
        by_core = told(work)
        with in_python():
            return by_core, told(work)


def bits(array: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
    """Return all that there is to an array."""
    return str(array.dtype), array.shape, array.tobytes()
