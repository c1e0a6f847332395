"""Scores of many rows by many trees, on sets of rows as bits.

For each split that any tree has, the rows that go left are one bit each; a tree then is a few
dozen ANDs of 64 rows at a time, instead of a walk of each row (bit vectors for trees: QuickScorer,
Lucchese et al. 2015; here the bits are rows, not leaves). The leaves' sets of rows become the
numbers of the leaves, one bit plane after the other, and these are looked up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from frugalfl.errors import UsageError
from frugalfl.trees.forest import Float64s, Tree, UInt8s

Words = npt.NDArray[np.uint64]

#: Rows at once: their sets, 8 KiB each, stay in the cache.
_BLOCK = 1 << 16
_EVERY = ~np.uint64(0)


def add_scores(trees: Sequence[Tree], binned: UInt8s, scores: Float64s) -> None:
    """Add what the trees say of each row.

    Args:
        trees: Checked trees.
        binned: uint8 (n, f).
        scores: float64 (n,), changed in place.

    Raises:
        UsageError: The rows have fewer features than a split looks at, or are not bytes.
    """
    splits, leaves = _checked(trees, binned)
    for start in range(0, len(binned), _BLOCK):
        block = _Block(binned[start : start + _BLOCK], splits, leaves)
        for tree in trees:
            block.add(tree, scores[start : start + _BLOCK])


def leaves_of(trees: Sequence[Tree], binned: UInt8s) -> Iterator[UInt8s]:
    """Yield for each tree the number of the leaf that each row comes to, uint8 (n,).

    Raises:
        UsageError: As :func:`add_scores`.
    """
    blocks = [
        (
            _Block(binned[start : start + _BLOCK], splits, leaves),
            len(binned[start : start + _BLOCK]),
        )
        for splits, leaves in [_checked(trees, binned)]
        for start in range(0, len(binned), _BLOCK)
    ]
    for tree in trees:
        parts = [block.numbers(tree)[:rows] for block, rows in blocks]
        yield np.concatenate([np.zeros(0, np.uint8), *parts])


def _checked(trees: Sequence[Tree], binned: UInt8s) -> tuple[set[tuple[int, int]], int]:
    """Return all splits of some trees, and the most leaves of one.

    Raises:
        UsageError: The rows have fewer features than a split looks at, or are not bytes.
    """
    if binned.ndim != 2 or binned.dtype != np.uint8:
        raise UsageError("trees score rows of bins, uint8 (rows, features): see Bins.of")
    looked = max((int(tree.feature.max()) for tree in trees if tree.leaves > 1), default=-1)
    if looked >= binned.shape[1]:
        raise UsageError(f"a tree looks at feature {looked}, the rows have {binned.shape[1]}")
    splits = {pair for tree in trees for pair in _splits(tree)}
    return splits, max((tree.leaves for tree in trees), default=1)


def _splits(tree: Tree) -> list[tuple[int, int]]:
    return list(zip(tree.feature.tolist(), tree.bin.tolist(), strict=True))


class _Block:
    """Some rows, the sets of those that go left at each split, and room to work in."""

    def __init__(self, rows: UInt8s, splits: set[tuple[int, int]], leaves: int) -> None:
        padded = np.zeros((rows.shape[1], -(-len(rows) // 64) * 64), np.uint8)
        padded[:, : len(rows)] = rows.T
        self._left = {(f, b): _packed(padded[f] <= b) for f, b in splits}
        words = padded.shape[1] // 64
        self._nodes = np.empty((max(leaves - 1, 1), words), np.uint64)
        self._leaves = np.empty((leaves, words), np.uint64)
        self._plane = np.empty(words, np.uint64)
        self._numbers = np.empty(padded.shape[1], np.intp)
        self._values = np.empty(len(rows))

    def add(self, tree: Tree, scores: Float64s) -> None:
        """Add the tree's value of each row."""
        if tree.leaves == 1:
            scores += float(tree.value[0])
            return
        np.copyto(self._numbers, self.numbers(tree))
        numbers = self._numbers[: len(scores)]
        # Numbers are right by construction: clipping only spares the check.
        np.take(tree.value.astype(np.float64), numbers, out=self._values, mode="clip")
        scores += self._values

    def numbers(self, tree: Tree) -> UInt8s:
        """Return the leaf of each row, and of those that fill the last word."""
        if tree.leaves == 1:
            return np.zeros(self._plane.size * 64, np.uint8)
        self._descend(tree)
        return self._leaf_of_each(tree.leaves)

    def _descend(self, tree: Tree) -> None:
        """Fill the set of rows of each leaf."""
        nodes, leaves = self._nodes, self._leaves
        nodes[0] = _EVERY
        walk = zip(_splits(tree), tree.left.tolist(), tree.right.tolist(), strict=True)
        for node, (split, left, right) in enumerate(walk):
            here = nodes[node]
            to_left = nodes[left] if left >= 0 else leaves[~left]
            to_right = nodes[right] if right >= 0 else leaves[~right]
            np.bitwise_and(here, self._left[split], out=to_left)
            np.bitwise_xor(here, to_left, out=to_right)

    def _leaf_of_each(self, leaves: int) -> UInt8s:
        """Return the number of the leaf that each row is in."""
        numbers = np.zeros(self._plane.size * 8, np.uint64)
        for place in range((leaves - 1).bit_length()):
            with_bit = [leaf for leaf in range(leaves) if leaf >> place & 1]
            np.bitwise_or.reduce(self._leaves[with_bit], axis=0, out=self._plane)
            numbers |= _spread(place)[self._plane.view(np.uint8)]
        return numbers.view(np.uint8)


def _packed(bits: npt.NDArray[np.bool_]) -> Words:
    return np.packbits(bits, bitorder="little").view(np.uint64)


@cache
def _spread(place: int) -> Words:
    """Return for each byte the word whose byte i has the byte's bit i, at this place."""
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    return (bits << np.uint8(place)).view(np.uint64).ravel()
