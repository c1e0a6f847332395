"""``auto(nmse 0.1)``: as few bytes as a given error allows, each matrix in the way that suits it.

Some matrices of an update are close to low rank, and ten times smaller as rounded factors than as
rounded entries; others are not. ``auto`` tries both for each tensor and takes what costs fewer
bytes at one step for the whole update, the largest step that keeps the error: the sum of squares
of what is lost is at most ``nmse`` times that of the update (`codec/budget.py`). Biased.

Layout: step (float32); for each tensor of two axes or more its rank, 0: entry by entry (1 B); then
the symbols as ``range`` codes them, those of a factored tensor as two: left (rank, rows) and right
(rank, columns).

Backwards a value is its symbol times the step. A factored tensor is the sum over its rank of each
right row times its left one, the left one scaled to length 1. Both ends add these up in float32,
in order, so that every machine decodes the same bits.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from frugalfl.blocks import FloatArray, Shape
from frugalfl.calls import Call, arity, below_one, unknown
from frugalfl.codec.budget import TensorForm, choose, most_rank, unit_rows, widest_step
from frugalfl.codec.buffer import Reader
from frugalfl.codec.chain import Chain
from frugalfl.codec.entropy.rounding import restore
from frugalfl.codec.links import Coder, Draws, Family, Tensor
from frugalfl.codec.range import Range
from frugalfl.codec.step_rules import read_step
from frugalfl.errors import CodecError, FrameError, UsageError

_DEFAULT = 0.1
#: What its symbols were rounded by is no draw of a seed.
_NOT_DRAWN = Draws(0)
_LEAST = 1e-6
_SHRINK = 0.98
_TRIES = 100
#: How far the budget of the search may be raised where it counted more error than there is.
_MOST_RELIEF = 1.2
_SMALLEST, _LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Rounded:
    """An update in symbols.

    Attributes:
        step: What a symbol of 1 is worth.
        ranks: Of each tensor; 0: its entries are the symbols.
        symbols: int32; one array a tensor, or two for a factored one.
    """

    step: float
    ranks: list[int]
    symbols: list[Tensor]

    def restored(self, shapes: Sequence[Shape]) -> list[FloatArray]:
        """Return the tensors, float32."""
        parts = iter(self.symbols)
        return [
            _product(next(parts), next(parts), self.step).reshape(shape)
            if rank
            else restore(next(parts), self.step).reshape(shape)
            for rank, shape in zip(self.ranks, shapes, strict=True)
        ]


class Auto(Coder):
    """Rounds to one step, after factoring if that pays."""

    families: frozenset[Family] = frozenset(["biased"])

    def __init__(self, nmse: float) -> None:
        self._nmse = nmse
        self._coder = Range()

    def encode(self, tensors: list[Tensor], draws: Draws) -> bytes:
        """Return step, ranks and coded symbols.

        Raises:
            CodecError: The tensors are symbols already.
        """
        if any(tensor.dtype != np.float32 for tensor in tensors):
            raise CodecError("auto takes float32; leave out the rounding link before it")
        rounded = self._round(tensors, draws.seed)
        ranks = bytes(
            rank for rank, tensor in zip(rounded.ranks, tensors, strict=True) if tensor.ndim > 1
        )
        coded = self._coder.encode(rounded.symbols, _NOT_DRAWN)
        return struct.pack("<f", rounded.step) + ranks + coded

    def decode(self, data: memoryview, shapes: Sequence[Shape], draws: Draws) -> list[Tensor]:
        """Return float32 tensors."""
        reader = Reader(data)
        step = read_step(reader)
        ranks = [_read_rank(reader, shape) if len(shape) > 1 else 0 for shape in shapes]
        coded = [
            part
            for rank, shape in zip(ranks, shapes, strict=True)
            for part in _coded_shapes(rank, shape)
        ]
        symbols = self._coder.decode(reader.rest(), coded, _NOT_DRAWN)
        with np.errstate(over="ignore", invalid="ignore"):
            return list(Rounded(step, ranks, symbols).restored(shapes))

    def _round(self, tensors: list[Tensor], seed: int) -> Rounded:
        largest = max((float(np.abs(t).max(initial=0)) for t in tensors), default=0.0)
        if largest == 0:
            return Rounded(0.0, [0] * len(tensors), [np.zeros(t.shape, np.int32) for t in tensors])
        # Squares of very small and very large values would leave float32.
        unit = [(tensor / largest).astype(np.float32) for tensor in tensors]
        budget = self._nmse * sum(float(np.vdot(tensor, tensor)) for tensor in unit)
        ways, step = choose(unit, budget, seed)
        # The search counts errors approximately: once more, with what it was wrong by.
        error = max(_error(unit, _at(step, ways)), budget / _MOST_RELIEF)
        step = widest_step(ways, budget * budget / error, step)
        rounded = _at(step, ways)
        for _ in range(_TRIES):
            if _error(unit, rounded) <= budget:
                break
            step *= _SHRINK
            rounded = _at(step, ways)
        return replace(rounded, step=min(max(rounded.step * largest, _SMALLEST), _LARGEST))


def _at(step: float, ways: Sequence[TensorForm]) -> Rounded:
    parts = [way.symbols_at(step) for way in ways]
    ranks = [len(part[0]) if len(part) > 1 else 0 for part in parts]
    return Rounded(step, ranks, [symbols for part in parts for symbols in part])


def _error(tensors: Sequence[FloatArray], rounded: Rounded) -> float:
    got = rounded.restored([tensor.shape for tensor in tensors])
    lost = [tensor - other for tensor, other in zip(tensors, got, strict=True)]
    return sum(float(np.vdot(part, part)) for part in lost)


def _product(left: Tensor, right: Tensor, step: float) -> FloatArray:
    total = np.zeros((left.shape[1], right.shape[1]), np.float32)
    part = np.empty_like(total)
    for row, column in zip(unit_rows(left), restore(right, step), strict=True):
        np.multiply(row[:, None], column, out=part)
        total += part
    return total


def _read_rank(reader: Reader, shape: Shape) -> int:
    rank = reader.byte()
    if rank > most_rank(shape):
        raise FrameError(f"the frame declares rank {rank} for a tensor of shape {shape}")
    return rank


def _coded_shapes(rank: int, shape: Shape) -> list[Shape]:
    return [(rank, shape[0]), (rank, prod(shape[1:]))] if rank else [shape]


def build(call: Call, _chain: Callable[[Call], Chain]) -> Auto:
    """Read ``auto(nmse 0.05)``, or ``auto`` for 0.1."""
    arity(call, 0, 1)
    if not call.arguments:
        return Auto(_DEFAULT)
    measure, _, number = call.arguments[0].name.partition(" ")
    if measure != "nmse":
        raise unknown("measure of auto", str(call.arguments[0]), ["nmse"])
    nmse = below_one(number, "nmse")
    if nmse < _LEAST:
        raise UsageError(f"nmse takes at least {_LEAST}, not {number}; zstd alone is lossless")
    return Auto(nmse)
