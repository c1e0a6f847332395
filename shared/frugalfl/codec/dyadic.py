"""``dyadic(share)``: multiples of a power of two; ``dyadic``: the same without any loss.

Steps that are powers of two have sums that are exact in any order, so that what a client missed
over many rounds travels as one frame: the sum of the rounds, coded without loss, in which what
went up and down again has cancelled (``server/frugalfl_server/rounds/downlink.py``).

With a share, values are rounded to the nearest multiple with a dead zone, and the step is the
power of two nearest to that at which this share of the entries stays above zero. Biased, like
``nearest``: what is below the dead zone is left for a later update.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, ldexp, log2

import numpy as np

from frugalfl.blocks import LATTICE_BITS, Shape
from frugalfl.calls import Call, arity, fraction
from frugalfl.codec.buffer import Reader
from frugalfl.codec.entropy.rounding import DEAD_ZONE, restore, round_nearest
from frugalfl.codec.links import Family, Tensor, Transform
from frugalfl.errors import CodecError, FrameError
from frugalfl.native.rounding import rounder

#: Share of ``auto`` if no server chooses one.
_UNSTEERED = 0.01
#: Largest exponent of a step; with the smallest, -LATTICE_BITS, this fits one byte.
_LARGEST = 64
_NO_LATTICE = f"dyadic without a share codes multiples of 2**-{LATTICE_BITS} only"


class Dyadic(Transform):
    """Symbols are multiples of ``2**e``; the side information is ``e + LATTICE_BITS``, one byte."""

    def __init__(self, share: float | None) -> None:
        self._share = share
        self.family: Family = "exact" if share is None else "biased"

    def forward(self, tensors: list[Tensor], seed: int) -> tuple[list[Tensor], bytes]:
        """Return int32 symbols, and the step's exponent.

        Raises:
            CodecError: Without a share: a value that is no multiple of the lattice's step, or is
                beyond 2**31 of them.
        """
        if self._share is None:
            symbols, exponent = _exactly(tensors)
        else:
            exponent = _exponent(tensors, self._share)
            step = ldexp(1.0, exponent)
            symbols = [round_nearest(tensor, step) for tensor in tensors]
        return symbols, bytes([exponent + LATTICE_BITS])

    def backward(
        self, tensors: list[Tensor], side: Reader, shapes: Sequence[Shape], seed: int
    ) -> list[Tensor]:
        """Multiply the symbols by the step."""
        exponent = side.byte() - LATTICE_BITS
        if exponent > _LARGEST:
            raise FrameError(f"the frame's step is 2**{exponent}, above 2**{_LARGEST}")
        return [restore(tensor, ldexp(1.0, exponent)) for tensor in tensors]


def _exactly(tensors: Sequence[Tensor]) -> tuple[list[Tensor], int]:
    """Return the tensors as multiples of the largest power of two that divides them all."""
    if (quick := rounder(*tensors)) is not None:
        multiples = [quick.exactly(tensor, 2.0**LATTICE_BITS) for tensor in tensors]
        whole = [multiple for multiple in multiples if multiple is not None]
        if len(whole) < len(tensors):
            raise CodecError(_NO_LATTICE)
        return _shifted(whole)
    scaled = [tensor.astype(np.float64) * 2.0**LATTICE_BITS for tensor in tensors]
    if any(not (np.abs(s) < 2**31).all() or (s != np.rint(s)).any() for s in scaled):
        raise CodecError(_NO_LATTICE)
    return _shifted([s.astype(np.int32) for s in scaled])


def _shifted(symbols: list[Tensor]) -> tuple[list[Tensor], int]:
    """Return multiples of the lattice's step without the zero bits that all have in common."""
    bits = int(np.bitwise_or.reduce([np.bitwise_or.reduce(s, axis=None) for s in symbols]))
    zeros = (bits & -bits).bit_length() - 1 if bits else 0
    return [s >> zeros for s in symbols], zeros - LATTICE_BITS


def _exponent(tensors: Sequence[Tensor], share: float) -> int:
    """Return the exponent of the step at which about ``share`` of the entries survive."""
    sizes = np.concatenate([np.abs(tensor).ravel() for tensor in tensors])
    survivors = min(ceil(share * sizes.size), int(np.count_nonzero(sizes)))
    if survivors == 0:
        return -LATTICE_BITS
    least = np.partition(sizes, sizes.size - survivors)[sizes.size - survivors]
    return min(max(round(log2(least / DEAD_ZONE)), -LATTICE_BITS), _LARGEST)


def build(call: Call) -> Dyadic:
    """Read ``dyadic(1%)``, ``dyadic(auto)`` or ``dyadic``."""
    arity(call, 0, 1)
    if not call.arguments:
        return Dyadic(None)
    if call.arguments[0].name == "auto":
        return Dyadic(_UNSTEERED)
    return Dyadic(fraction(call.arguments[0], "dyadic"))
