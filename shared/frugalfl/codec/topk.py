"""``topk(share)``: keep the largest entries of the whole update, zero the others.

Biased: without error feedback what is small is never sent (Aji and Heafield 2017; Lin et al. 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

from frugalfl.blocks import Shape
from frugalfl.calls import Call, arity, fraction
from frugalfl.codec.buffer import Reader
from frugalfl.codec.links import Family, Tensor, Transform
from frugalfl.codec.shapes import split
from frugalfl.native.select import keep_from, rank_of

#: 7 % of 400 is 28.000000000000004 in floating point, and must stay 28.
_ROUNDING = 1e-6


class TopK(Transform):
    """Keeps ``ceil(share * entries)`` entries by magnitude, over all tensors together."""

    family: Family = "biased"
    pointwise = True

    def __init__(self, share: float) -> None:
        self.share = share

    def forward(self, tensors: list[Tensor], seed: int) -> tuple[list[Tensor], bytes]:
        """Zero all but the largest entries."""
        flat = np.concatenate([tensor.ravel() for tensor in tensors])
        keep = ceil(self.share * flat.size - _ROUNDING)
        if keep < flat.size and not _keep_quickly(flat, keep):
            dropped = np.argpartition(np.abs(flat), flat.size - keep)[: flat.size - keep]
            flat[dropped] = 0
        return split(flat, [tensor.shape for tensor in tensors]), b""

    def backward(
        self, tensors: list[Tensor], side: Reader, shapes: Sequence[Shape], seed: int
    ) -> list[Tensor]:
        """Nothing to undo: the dropped entries stay zero."""
        return tensors


def _keep_quickly(flat: Tensor, keep: int) -> bool:
    """Zero all but the largest ``keep`` entries, in place; say whether the core could.

    Where several entries at the bound are equally large, numpy chooses among them, in its own way.
    """
    found = rank_of(flat, keep) if keep else None
    if found is None or found.above + found.equal > keep:
        return False
    keep_from(flat, found.least)
    return True


def build(call: Call) -> TopK:
    """Read ``topk(1%)``."""
    arity(call, 1)
    return TopK(fraction(call.arguments[0], "topk"))
