"""Mini-batches of many clients, drawn by the compiled core: ``shared/core/batches.c``."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import Structure, byref, c_uint32, c_uint64, c_void_p
from functools import cache

import numpy as np
import numpy.typing as npt

from frugalfl.blocks import FloatArray
from frugalfl.native.library import function
from frugalfl.native.memory import address

_WORD = 0xFFFFFFFF


class _Batches(Structure):
    _fields_ = (
        *((name, c_void_p) for name in ("words", "ends", "rows")),
        *((name, c_uint64) for name in ("clients", "steps", "width")),
        *((name, c_uint32) for name in ("epochs", "size", "least")),
    )


def draw_batches(
    seeds: Sequence[tuple[int, ...]],
    rows: npt.NDArray[np.uint32],
    epochs: int,
    size: int,
    least: int,
    shape: tuple[int, int, int],
) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Draw as ``default_rng(seed).permutation(rows)`` does for each client, once an epoch.

    Args:
        seeds: Of each client, numbers that are not negative.
        rows: How many each client has, at least 1; contiguous.
        epochs: Passes over the rows.
        size: Of a batch, at least 1.
        least: Rows that the last batch of several is filled up to.
        shape: ``(steps, clients, width)``: at least the batches of any client, and the rows of any.

    Returns:
        Rows, counted through all clients, and what each weighs, 1 / the batch's length; both of
        that shape. What fills up has weight 0.
    """
    chosen, weights = np.empty(shape, np.int64), np.empty(shape, np.float32)
    words, ends = _words(seeds)
    order = np.empty(int(rows.max()), np.int64)
    steps, clients, width = shape
    about = _Batches(
        address(words), address(ends), address(rows), clients, steps, width, epochs,
        min(size, _WORD), least,
    )  # fmt: skip
    _function()(byref(about), address(order), address(chosen), address(weights))
    return chosen, weights


def _words(
    seeds: Sequence[tuple[int, ...]],
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Return the seeds' words as ``numpy.random.SeedSequence`` has them, and where each ends."""
    try:
        words = np.array(seeds, np.uint32)
        ends = np.arange(words.shape[1], words.size + 1, words.shape[1], dtype=np.uint32)
    except (OverflowError, ValueError, IndexError):  # a number of several words; other lengths
        each = [[word for number in seed for word in _words_of(number)] for seed in seeds]
        ends = np.cumsum([len(one) for one in each]).astype(np.uint32)
        words = np.array([word for one in each for word in one], np.uint32)
    return words, ends


def _words_of(number: int) -> list[int]:
    """Return a number's words, the lowest first."""
    words = [number & _WORD]
    while number := number >> 32:
        words.append(number & _WORD)
    return words


@cache
def _function():  # type: ignore[no-untyped-def]
    return function("fc_draw_batches", None, *[c_void_p] * 4)
