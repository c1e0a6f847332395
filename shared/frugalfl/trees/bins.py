"""Bins that all branches agree on: each feature as one byte, the same byte everywhere.

A branch sends a sketch, some quantiles of each feature, and the server puts bin edges between
pooled quantiles. Nothing but the edges comes back. Sketches leave out extremes: the smallest and
largest values of a branch belong to single rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from frugalfl.codec.buffer import Reader, varint
from frugalfl.errors import FrameError, UsageError
from frugalfl.trees.forest import LAST_BIN, MAX_FEATURES, Float32s, UInt8s
from frugalfl.trees.sealed import (
    compressed,
    expanded,
    opened,
    packed_floats,
    sealed,
    unpacked_floats,
)

_BINS = b"fB\x01"
_SKETCH = b"fQ\x01"
#: Most edges of a feature: 255 bins, 0 to 254.
MAX_EDGES = LAST_BIN + 1
MAX_POINTS = 1024
MAX_ROWS = 1 << 31
#: A value that fewer rows share is not named in a sketch.
_SHARED_BY = 5
_SHARE = 65535
#: Bits of a float32's 23 that a sketch leaves out: 11 are kept, as float16 has.
_DROPPED = 12


@dataclass(frozen=True, eq=False)
class Bins:
    """Where the bins of each feature end.

    Attributes:
        edges: For each feature float32, strictly increasing, at most 254.
    """

    edges: tuple[Float32s, ...]

    def __len__(self) -> int:
        """Return the number of features."""
        return len(self.edges)

    @property
    def counts(self) -> tuple[int, ...]:
        """Return the number of bins of each feature."""
        return tuple(len(edges) + 1 for edges in self.edges)

    def of(self, x: Float32s) -> UInt8s:
        """Return the bin of each value: how many edges are below it.

        So ``x <= edges[i]`` is the same as ``bin <= i``.

        Args:
            x: float32 (n, f), finite.

        Returns:
            uint8 (n, f).

        Raises:
            UsageError: Other features than these bins are of, or a value that is no number.
        """
        _check_matrix(x)
        if x.shape[1] != len(self):
            raise UsageError(f"the bins are of {len(self)} features, the rows have {x.shape[1]}")
        binned = np.empty(x.shape, np.uint8)
        for feature, edges in enumerate(self.edges):
            binned[:, feature] = np.searchsorted(edges, x[:, feature])
        return binned

    def to_bytes(self) -> bytes:
        """Return the edges as bytes; `docs/trees.md` has the layout."""
        head = [_BINS, varint(len(self)), *(varint(len(edges)) for edges in self.edges)]
        return sealed(b"".join(head) + packed_floats(self.edges))

    @classmethod
    def from_bytes(cls, data: bytes) -> Bins:
        """Read what :meth:`to_bytes` wrote.

        Raises:
            FrameError: Anything about the bytes is not as it should be.
        """
        reader = opened(data, _BINS)
        lengths = [reader.varint(MAX_EDGES) for _ in range(reader.varint(MAX_FEATURES))]
        edges = unpacked_floats(reader.rest(), lengths)
        if any((np.diff(column) <= 0).any() for column in edges):
            raise FrameError("the edges of a feature's bins do not increase")
        return cls(edges)


@dataclass(frozen=True, eq=False)
class Sketch:
    """What a branch tells of the distribution of each feature.

    Attributes:
        rows: How many rows the branch has.
        values: For each feature float32, strictly increasing: quantiles, or all common values.
        shares: For each feature the part of the rows that each value stands for, uint16 of 65535.
    """

    rows: int
    values: tuple[Float32s, ...]
    shares: tuple[np.typing.NDArray[np.uint16], ...]

    def to_bytes(self) -> bytes:
        """Return the sketch as bytes, 1 to 2 kB for 15 features of 64 points."""
        lengths = [varint(len(values)) for values in self.values]
        head = [_SKETCH, varint(self.rows), varint(len(self.values)), *lengths]
        shares = b"".join(varint(int(share)) for column in self.shares for share in column)
        packed = compressed(shares)
        sizes = varint(len(shares)) + varint(len(packed))
        body = [*head, sizes, packed, packed_floats(self.values)]
        return sealed(b"".join(body))

    @classmethod
    def from_bytes(cls, data: bytes) -> Sketch:
        """Read what :meth:`to_bytes` wrote.

        Raises:
            FrameError: Anything about the bytes is not as it should be.
        """
        reader = opened(data, _SKETCH)
        rows = reader.varint(MAX_ROWS)
        lengths = [reader.varint(MAX_POINTS) for _ in range(reader.varint(MAX_FEATURES))]
        size = reader.varint(3 * sum(lengths))
        packed = reader.bytes(reader.varint(2 * size + 64))
        shares = Reader(expanded(packed, size))
        columns = [np.array([shares.varint(_SHARE) for _ in range(n)], np.uint16) for n in lengths]
        values = unpacked_floats(reader.rest(), lengths)
        if not shares.finished:
            raise FrameError("the sketch has bytes after its last share")
        if any((np.diff(column) <= 0).any() for column in values):
            raise FrameError("the values of a sketch do not increase")
        return cls(rows, values, tuple(columns))


def sketch(x: Float32s, points: int = 64) -> Sketch:
    """Return the quantiles of a branch's features.

    A feature of at most ``points`` distinct values that five rows share keeps them all; values
    are rounded to 11 bits.

    Args:
        x: float32 (n, f), finite.
        points: Most values for a feature.

    Raises:
        UsageError: A value that is no number, or points out of range.
    """
    _check_matrix(x)
    if not 2 <= points <= MAX_POINTS:
        raise UsageError(f"a sketch has 2 to {MAX_POINTS} points, not {points}")
    columns = [_quantiles(_rounded(x[:, feature]), points) for feature in range(x.shape[1])]
    return Sketch(len(x), tuple(v for v, _ in columns), tuple(s for _, s in columns))


def _quantiles(column: Float32s, points: int) -> tuple[Float32s, np.typing.NDArray[np.uint16]]:
    values, counts = np.unique(column, return_counts=True)
    shared = counts >= _SHARED_BY
    if int(shared.sum()) <= points and counts[shared].sum() >= 0.99 * len(column):
        values, counts = values[shared], counts[shared]
    elif len(column):
        places = ((np.arange(points) + 0.5) * len(column) / points).astype(int)
        found = np.searchsorted(np.cumsum(counts), places, side="right")
        values, counts = np.unique(values[found], return_counts=True)
    shares = np.maximum(counts * _SHARE // max(int(counts.sum()), 1), 1)
    return values, shares.astype(np.uint16)


def agree(sketches: Sequence[Sketch], max_bins: int = 64) -> Bins:
    """Return bins that hold about the same number of rows of all branches together.

    A feature of at most ``max_bins`` distinct values keeps them apart.

    Args:
        sketches: One of each branch; the order does not matter.
        max_bins: Most bins of a feature, at most 255.

    Raises:
        UsageError: No sketch, sketches of other features than the first one's, or bins out of
            range.
    """
    if not 2 <= max_bins <= MAX_EDGES + 1:
        raise UsageError(f"a feature has 2 to {MAX_EDGES + 1} bins, not {max_bins}")
    if len({len(one.values) for one in sketches}) != 1:
        raise UsageError(
            "bins are agreed on sketches of the same features, from one branch or more"
        )
    return Bins(tuple(_edges(sketches, f, max_bins) for f in range(len(sketches[0].values))))


def _edges(sketches: Sequence[Sketch], feature: int, max_bins: int) -> Float32s:
    values = np.concatenate([one.values[feature] for one in sketches])
    # In whole numbers, so that no sum depends on the order of the branches.
    weights = np.concatenate([one.shares[feature].astype(np.int64) * one.rows for one in sketches])
    distinct, number = np.unique(values, return_inverse=True)
    weight = np.zeros(len(distinct), np.int64)
    np.add.at(weight, number, weights)
    distinct, weight = distinct[weight > 0], weight[weight > 0]
    if len(distinct) < 2:
        return np.zeros(0, np.float32)
    if len(distinct) > max_bins:
        upto = np.cumsum(weight)[:-1]
        targets = np.arange(1, max_bins) * (upto[-1] + weight[-1]) // max_bins
        after = np.unique(np.searchsorted(upto, targets).clip(0, len(upto) - 1))
    else:
        after = np.arange(len(distinct) - 1)
    low, high = distinct[after].astype(np.float64), distinct[after + 1].astype(np.float64)
    return np.unique(((low + high) / 2).astype(np.float32))


def _rounded(column: Float32s) -> Float32s:
    """Return the values with 11 bits of mantissa, rounded; -0 becomes 0."""
    bits = np.ascontiguousarray(column + np.float32(0), np.float32).view(np.uint32)
    half = np.uint32(1 << (_DROPPED - 1))
    kept = (bits + half) >> np.uint32(_DROPPED) << np.uint32(_DROPPED)
    rounded = kept.view(np.float32)
    # The largest floats would round to infinity.
    return np.where(np.isfinite(rounded), rounded, column).astype(np.float32)


def _check_matrix(x: Float32s) -> None:
    if x.ndim != 2 or x.dtype != np.float32 or x.shape[1] > MAX_FEATURES:
        raise UsageError(f"features are float32 (rows, at most {MAX_FEATURES} features)")
    if not np.isfinite(x).all():
        row, column = np.argwhere(~np.isfinite(x))[0]
        raise UsageError(f"feature {column} of row {row} is no finite number")
