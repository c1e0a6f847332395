"""Where the bytes of ``auto`` go: one step for the whole update, and a rank for each matrix.

A nonzero symbol costs about the same wherever it stands, so one step for all tensors and all
factors is best to first order (reverse water-filling; Cover and Thomas 2006, section 10.3). What is
left to choose, for each matrix, is whether its entries travel or its factors, and how many. Both
cost bits and leave an error; at step s, an error of s**2 is worth 6 / ln 2 bits, which is the slope
of a fine uniform quantizer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from math import log, log2, prod, sqrt
from typing import Protocol

import numpy as np
import numpy.typing as npt

from frugalfl.blocks import FloatArray, Shape
from frugalfl.codec.entropy import encode_tensors
from frugalfl.codec.entropy.rounding import DEAD_ZONE, round_nearest
from frugalfl.codec.links import Tensor
from frugalfl.codec.lowrank import as_matrix, factors

#: Highest rank of a factored tensor, at both ends; few updates after short training need it.
_MOST_RANK = 32
_SLOPE = 6 / log(2)
#: Entries of a tensor that the first step is guessed from.
_SAMPLE = 1 << 15
#: The search for a step ends when it is known to so much.
_NEAR = 1.01
#: It goes no further from where it begins than this factor.
_WIDEST = 2.0**40
#: Share of the budget that ranks may use up before anything is rounded.
_ROOM = 0.8
_ROUND_UP = np.float32(1 - DEAD_ZONE)
#: Sizes of symbols that the estimate of bits tells apart.
_SIZES = 256
Floats = npt.NDArray[np.float64]


class TensorForm(Protocol):
    """How one tensor travels.

    Attributes:
        least_error: Squared error that no step is fine enough to avoid.
    """

    least_error: float

    def error_at(self, step: float) -> float:
        """Return about the squared error that is left at a step."""

    def cost_at(self, step: float) -> float:
        """Return about the bits at a step, and what the error is worth in bits."""

    def symbols_at(self, step: float) -> list[Tensor]:
        """Return its int32 symbols: the entries, or left and right factors."""

    def settled_at(self, step: float) -> TensorForm:
        """Return the same way with the rank that pays at a step, now for every step."""


class Entries:
    """A tensor that travels entry by entry."""

    least_error = 0.0

    def __init__(self, tensor: FloatArray) -> None:
        self._tensor = tensor

    def error_at(self, step: float) -> float:
        """See :class:`TensorForm`."""
        return float(_squared_errors(self._tensor.ravel()[None], step)[0])

    def cost_at(self, step: float) -> float:
        """See :class:`TensorForm`."""
        coded = encode_tensors([round_nearest(as_matrix(self._tensor), step)])
        return 8 * len(coded) + _SLOPE * self.error_at(step) / step**2

    def symbols_at(self, step: float) -> list[Tensor]:
        """See :class:`TensorForm`."""
        return [round_nearest(self._tensor, step)]

    def settled_at(self, step: float) -> TensorForm:
        """See :class:`TensorForm`."""
        return self


class Factors:
    """A matrix that travels as its leading singular vectors, as many as pay."""

    def __init__(self, tensor: FloatArray, seed: int) -> None:
        self._matrix = as_matrix(tensor)
        left, values, right = factors(self._matrix, most_rank(tensor.shape), seed)
        # Scaled like this, a step costs the same error in either.
        self._left: FloatArray = (left * values).T.copy()
        self._right: FloatArray = right * values[:, None]
        self._powers = values.astype(np.float64) ** 2
        self._power = _power(self._matrix)
        self.least_error = self._power - float(self._powers.sum())
        self._rank: int | None = None

    def error_at(self, step: float) -> float:
        """See :class:`TensorForm`."""
        return self._best(step)[1]

    def cost_at(self, step: float) -> float:
        """See :class:`TensorForm`."""
        bits, error, _ = self._best(step)
        return bits + _SLOPE * error / step**2

    def symbols_at(self, step: float) -> list[Tensor]:
        """See :class:`TensorForm`; the right factor is the best for the rounded left one."""
        rank = self._best(step)[2]
        left = round_nearest(self._left[:rank], step)
        rows = unit_rows(left)
        right, *_ = np.linalg.lstsq(rows @ rows.T, rows @ self._matrix, rcond=1e-3)
        return [left, round_nearest(right.astype(np.float32), step)]

    def settled_at(self, step: float) -> TensorForm:
        """See :class:`TensorForm`."""
        settled = copy(self)
        settled._rank = max(1, self._best(step)[2])
        return settled

    def _best(self, step: float) -> tuple[float, float, int]:
        """Return bits, squared error and rank where they cost least."""
        bits = np.cumsum([0, *(_bits(self._left, step) + _bits(self._right, step))])
        noise = _squared_errors(self._left, step) + _squared_errors(self._right, step)
        errors = self._power + np.cumsum([0, *(noise - self._powers)])
        best = (bits + _SLOPE * errors / step**2).argmin()
        rank = int(best) if self._rank is None else self._rank
        return float(bits[rank]), max(float(errors[rank]), 0.0), rank


def most_rank(shape: Shape) -> int:
    """Return the highest rank: the factors must not have more entries than the tensor."""
    if len(shape) < 2:
        return 0
    rows, columns = shape[0], prod(shape[1:])
    return min(_MOST_RANK, rows * columns // max(rows + columns, 1))


def unit_rows(symbols: Tensor) -> FloatArray:
    """Scale each row to length 1; a row of zeros stays one."""
    squares = np.square(symbols, dtype=np.float64).sum(axis=1, keepdims=True)
    scaled: FloatArray = (symbols / np.sqrt(np.maximum(squares, 1))).astype(np.float32)
    return scaled


def choose(
    tensors: Sequence[FloatArray], budget: float, seed: int
) -> tuple[list[TensorForm], float]:
    """Choose how each tensor travels, and the step, for about the fewest bytes.

    Args:
        tensors: float32, not all zeros.
        budget: The squared error that may be left, over all tensors.
        seed: Of the random start of the factorization.
    """
    step = _first_step(tensors, budget)
    ways = [_cheapest(tensor, step, seed) for tensor in tensors]
    while sum(way.least_error for way in ways) > _ROOM * budget:
        worst = max(range(len(ways)), key=lambda index: ways[index].least_error)
        ways[worst] = Entries(tensors[worst])
    step = widest_step(ways, budget, step)
    return [way.settled_at(step) for way in ways], step


def _cheapest(tensor: FloatArray, step: float, seed: int) -> TensorForm:
    if not most_rank(tensor.shape) or not tensor.any():
        return Entries(tensor)
    ways: list[TensorForm] = [Entries(tensor), Factors(tensor, seed)]
    return min(ways, key=lambda way: way.cost_at(step))


def widest_step(ways: Sequence[TensorForm], budget: float, start: float) -> float:
    """Return about the largest step at which the error is within the budget."""
    return _search(lambda step: sum(way.error_at(step) for way in ways), budget, start)


def _first_step(tensors: Sequence[FloatArray], budget: float) -> float:
    """Return about the step for all tensors entry by entry, from a sample of each."""
    parts = [t.ravel()[:: max(1, t.size // _SAMPLE)] for t in tensors]
    if not any(part.any() for part in parts):
        parts = [t.ravel() for t in tensors]
    sample = np.concatenate(parts)
    share = budget * _power(sample) / sum(map(_power, tensors))
    return _search(Entries(sample).error_at, share, float(np.abs(sample).max()))


def _search(error_at: Callable[[float], float], budget: float, start: float) -> float:
    low = start
    while error_at(low) > budget and low > start / _WIDEST:
        low /= 2
    high = 2 * low
    while error_at(high) <= budget and high < start * _WIDEST:
        low, high = high, 2 * high
    while high > low * _NEAR:
        middle = sqrt(low * high)
        low, high = (middle, high) if error_at(middle) <= budget else (low, middle)
    return low


def _power(tensor: FloatArray) -> float:
    return float(np.vdot(tensor, tensor))


def _squared_errors(rows: FloatArray, step: float) -> Floats:
    """Return the squared error of rounding each row to a step."""
    sizes = np.abs(rows)
    sizes -= np.float32(step) * np.floor(sizes * np.float32(1 / step) + _ROUND_UP)
    return np.array([_power(row) for row in sizes])


def _bits(rows: FloatArray, step: float) -> Floats:
    """Return the empirical entropy of each rounded row: of the sizes, and a bit a sign."""
    count, length = rows.shape
    sizes = np.minimum(np.abs(rows) * np.float32(1 / step) + _ROUND_UP, _SIZES - 1).astype(np.int32)
    sizes += _SIZES * np.arange(count, dtype=np.int32)[:, None]
    found = np.bincount(sizes.ravel(), minlength=count * _SIZES).reshape(count, _SIZES)
    entropy = length * log2(length) - (found * np.log2(np.maximum(found, 1))).sum(axis=1)
    bits: Floats = entropy + length - found[:, 0]
    return bits
