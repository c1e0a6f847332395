"""``statistics(chain, chain)``: one chain for what is trained, another for running statistics.

The running mean and variance of a batch norm are no weights: they follow the data, in steps that
are orders of magnitude longer than a weight's. In one chain they would set the step for all, and
the weights' updates would round to nothing. So a codec that loses anything keeps them apart, also
if its text does not say so (:meth:`~frugalfl.codec.codec.Codec.for_tensors`).

Layout: length of the first chain's payload (varint), that payload; a varint, bit i of it set:
tensor i is a statistic; the second chain's payload. A chain without tensors has no payload.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np

from frugalfl.blocks import Shape, is_statistic
from frugalfl.calls import Call, arity
from frugalfl.codec.buffer import Reader, varint
from frugalfl.codec.chain import Chain, check_squares
from frugalfl.codec.large import unpack_part
from frugalfl.codec.links import Compact, Sparse, Steering, Tensor, squared_norm

#: How running statistics travel beside any codec that loses something: rounded to a third of each
#: tensor's root mean square. What that drops is in the next difference too, because statistics
#: follow values and do not add up gradients; and accuracy is the same as when they travel exactly.
FOLLOWING = "scaled | nearest(0.3 sigma) | range"
#: Keeps the randomness of the statistics apart from that of the weights.
_STREAM = 0x53544154
_MOST_BYTES = 1 << 40


class Statistics:
    """Splits the tensors as it is told; each chain sees its own as if there were no others."""

    keeps_statistics_apart = True

    def __init__(self, weights: Chain, statistics: Chain) -> None:
        self._weights = weights
        self._statistics = statistics
        self.families = weights.families | statistics.families

    def pack_named(self, named: Mapping[str, Tensor], seed: int) -> bytes:
        """Return both payloads of tensors, by name."""
        marks = list(map(is_statistic, named))
        weights = [t for t, mark in zip(named.values(), marks, strict=True) if not mark]
        statistics = [t for t, mark in zip(named.values(), marks, strict=True) if mark]
        first = self._weights.pack(weights, seed) if weights else b""
        second = self._statistics.pack(statistics, seed ^ _STREAM) if statistics else b""
        bits = sum(1 << place for place, mark in enumerate(marks) if mark)
        return varint(len(first)) + first + varint(bits) + second

    def unpack(self, data: memoryview, shapes: Sequence[Shape], seed: int) -> list[Tensor]:
        """Return the tensors in their order."""
        first, marks, second = _open(data, len(shapes))
        weights = unpack_part(self._weights, first, _of(shapes, marks, False), seed)
        statistics = self._unpack(second, _of(shapes, marks, True), seed)
        return _in_order(marks, weights, statistics)

    def unpack_compact(self, data: memoryview, shapes: Sequence[Shape], seed: int) -> Compact:
        """Return the nonzero entries if the weights' chain does, otherwise one item a tensor.

        Statistics are few, and are decoded in full.

        Raises:
            FrameError: As of :meth:`Chain.unpack_compact`.
        """
        first, marks, second = _open(data, len(shapes))
        if all(marks):
            return list(self._finite(second, list(shapes), seed))
        weights = self._weights.unpack_compact(first, _of(shapes, marks, False), seed)
        statistics = self._finite(second, _of(shapes, marks, True), seed)
        if isinstance(weights, Sparse):
            return _together(weights, statistics, marks, shapes)
        return _in_order(marks, weights, statistics)

    def steering(self, data: memoryview) -> Steering | None:
        """Return what the weights' payload says of its step; nothing if it has no weights."""
        reader = Reader(data)
        first = reader.bytes(reader.varint(_MOST_BYTES))
        return self._weights.steering(first) if first else None

    def ideal_bytes(self, tensors: list[Tensor], seed: int) -> None:
        """Two coders have no model in common."""

    def _finite(self, data: memoryview, shapes: list[Shape], seed: int) -> list[Tensor]:
        with np.errstate(over="ignore"):
            tensors = self._unpack(data, shapes, seed)
        for tensor in tensors:
            check_squares(squared_norm(tensor))
        return tensors

    def _unpack(self, data: memoryview, shapes: list[Shape], seed: int) -> list[Tensor]:
        tensors = unpack_part(self._statistics, data, shapes, seed ^ _STREAM)
        return [np.asarray(tensor, np.float32) for tensor in tensors]


def _open(data: memoryview, tensors: int) -> tuple[memoryview, list[bool], memoryview]:
    """Return the first payload, which tensors are statistics, and the second payload."""
    reader = Reader(data)
    first = reader.bytes(reader.varint(_MOST_BYTES))
    bits = reader.varint((1 << tensors) - 1)
    return first, [bool(bits >> place & 1) for place in range(tensors)], reader.rest()


def _of(shapes: Sequence[Shape], marks: Sequence[bool], wanted: bool) -> list[Shape]:
    return [shape for shape, mark in zip(shapes, marks, strict=True) if mark == wanted]


def _in_order(marks: Sequence[bool], weights: list[Any], statistics: list[Any]) -> list[Any]:
    queues = {False: iter(weights), True: iter(statistics)}
    return [next(queues[mark]) for mark in marks]


def _together(
    weights: Sparse, statistics: list[Tensor], marks: Sequence[bool], shapes: Sequence[Shape]
) -> Sparse:
    """Return the nonzero entries of both, in order, counted over all tensors."""
    sizes = list(map(prod, shapes))
    starts = [0, *accumulate(sizes)]
    ends, shifts, places, values = [0], [0], [], []
    queue = iter(statistics)
    for mark, size, start in zip(marks, sizes, starts, strict=False):
        if mark:
            flat = next(queue).ravel()
            hits = flat.nonzero()[0]
            places.append(hits + start)
            values.append(flat[hits])
        else:
            shifts.append(start - ends[-1])
            ends.append(ends[-1] + size)
    span = np.searchsorted(ends, weights.places, side="right")
    places.append(weights.places + np.take(shifts, span))
    values.append(weights.values)
    all_places, all_values = np.concatenate(places), np.concatenate(values)
    order = np.argsort(all_places, kind="stable")
    return Sparse(all_places[order], all_values[order])


def build(call: Call, chain: Callable[[Call], Chain]) -> Statistics:
    """Read ``statistics(stochastic(24 sigma) | range, zstd)``."""
    arity(call, 2)
    weights, statistics = call.arguments
    return Statistics(chain(weights), chain(statistics))
