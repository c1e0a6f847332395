"""Rounding thresholds that both ends of the wire can draw from the same seed.

Stochastic rounding with a shared threshold (a dither, Ziv 1985; Zamir and Feder 1992) is just as
unbiased as with a private one, and the receiver knows where a nonzero can hide: a small value
becomes nonzero only where its threshold is small.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalfl.native.rounding import rounder

_GOLDEN = 0x9E3779B9
_FIRST = 0x85EBCA6B
_SECOND = 0xC2B2AE35
_MASK = 0xFFFFFFFF


def mix(seed: int, count: int, first: int = 0) -> NDArray[np.uint32]:
    """Pseudo-random words of a seed, `count` from number `first` on.

    The integer finaliser of MurmurHash3 (Austin Appleby, 2011), twice, over a Weyl sequence.

    >>> mix(7, 2, first=3).tolist() == mix(7, 5).tolist()[3:]
    True
    """
    quick = rounder()
    words = None if quick is None else quick.mix(seed, count, first)
    return _mix(seed, count, first) if words is None else words


def _mix(seed: int, count: int, first: int) -> NDArray[np.uint32]:
    word = np.arange(first, first + count, dtype=np.uint32)
    word *= np.uint32(_GOLDEN)
    word += np.uint32(_finalise(seed & _MASK))
    for factor, shift in ((_FIRST, 16), (_SECOND, 13)):
        word ^= word >> np.uint32(shift)
        word *= np.uint32(factor)
    word ^= word >> np.uint32(16)
    return word


class SharedThresholds(Sequence[NDArray[np.uint32]]):
    """One word for each entry of each tensor; a tensor's are drawn when they are asked for.

    Args:
        shapes: of the tensors.
        seed: what the words are drawn from: a decoder that draws its own needs no more.
    """

    def __init__(self, shapes: Sequence[tuple[int, ...]], seed: int) -> None:
        self.seed = seed
        self._shapes = shapes
        self._starts = [0, *accumulate(map(prod, shapes))]

    def __len__(self) -> int:
        return len(self._shapes)

    def __getitem__(self, index: Any) -> Any:
        shape = self._shapes[index]
        return mix(self.seed, prod(shape), self._starts[index]).reshape(shape)


def _finalise(word: int) -> int:
    word = (word ^ word >> 16) * _FIRST & _MASK
    word = (word ^ word >> 13) * _SECOND & _MASK
    return word ^ word >> 16
