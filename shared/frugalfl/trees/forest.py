"""Decision trees over binned features, and sums of them: what every way of training trees makes.

A split sends a row left if its bin is at most the split's. Trees hold nothing but what scoring
needs: no row counts, no sums of hessians, no gains, from which training rows can be inferred
(TimberStrike, Castellini et al. 2025).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frugalfl.errors import UsageError

UInt8s = npt.NDArray[np.uint8]
Int16s = npt.NDArray[np.int16]
Float32s = npt.NDArray[np.float32]
Float64s = npt.NDArray[np.float64]
#: The lowest and highest bin of each feature that can come to a node, where bounded.
Reach = dict[int, tuple[int, int]]

#: Most leaves of a tree.
MAX_LEAVES = 256
#: Most features of a row, and the highest bin that a split can name: bins are bytes.
MAX_FEATURES = 255
LAST_BIN = 253
#: No leaf's value is beyond this: an odds ratio of e**1000 is nobody's estimate.
MAX_VALUE = 1000.0


@dataclass(frozen=True, eq=False)
class Tree:
    """One tree of s splits and s + 1 leaves.

    Attributes:
        feature: uint8 (s,), the feature each split looks at.
        bin: uint8 (s,), the highest bin that goes left.
        left: int16 (s,), what is on the left: the number of a later split, or ``~leaf``.
        right: int16 (s,), the same for the right.
        value: float32 (s + 1,), what each leaf adds to the score (log odds).
    """

    feature: UInt8s
    bin: UInt8s
    left: Int16s
    right: Int16s
    value: Float32s

    @property
    def leaves(self) -> int:
        """Return the number of leaves."""
        return len(self.value)

    @classmethod
    def constant(cls, value: float) -> Tree:
        """Return a tree of one leaf."""
        none = np.zeros(0, np.uint8), np.zeros(0, np.uint8)
        ends = np.zeros(0, np.int16), np.zeros(0, np.int16)
        return cls(*none, *ends, np.array([value], np.float32))

    def canonical(self) -> Tree:
        """Return the same tree with splits in preorder and leaves from left to right.

        The order in which a tree grew tells which splits gained most; this one tells nothing.
        Splits that send every row the same way, because of those above them, are left out.
        """
        feature: list[int] = []
        edge: list[int] = []
        children: list[list[int]] = []
        values: list[np.float32] = []
        # A node, whose child it becomes (split, side), and the bins that can reach it.
        waiting: list[tuple[int, int, int, Reach]] = [(0 if self.leaves > 1 else ~0, -1, 0, {})]
        while waiting:
            node, parent, side, reach = waiting.pop()
            while node >= 0 and (way := self._only_way(node, reach)) is not None:
                node = int(way[node])
            number = len(feature) if node >= 0 else ~len(values)
            if parent >= 0:
                children[parent][side] = number
            if node < 0:
                values.append(self.value[~node])
                continue
            f, b = int(self.feature[node]), int(self.bin[node])
            low, high = reach.get(f, (0, LAST_BIN + 1))
            feature.append(f)
            edge.append(b)
            children.append([0, 0])
            waiting.append((int(self.right[node]), number, 1, {**reach, f: (b + 1, high)}))
            waiting.append((int(self.left[node]), number, 0, {**reach, f: (low, b)}))
        ends = np.array(children, np.int16).reshape(-1, 2)
        return Tree(
            np.array(feature, np.uint8),
            np.array(edge, np.uint8),
            ends[:, 0].copy(),
            ends[:, 1].copy(),
            np.array(values, np.float32),
        )

    def _only_way(self, split: int, reach: Reach) -> Int16s | None:
        """Return ``left`` or ``right`` if all that can reach the split goes there."""
        low, high = reach.get(int(self.feature[split]), (0, LAST_BIN + 1))
        if int(self.bin[split]) >= high:
            return self.left
        return self.right if int(self.bin[split]) < low else None

    def check(self, features: int = MAX_FEATURES) -> None:
        """Refuse what is not a tree.

        Raises:
            UsageError: Lengths that do not fit, a child that is missing, shared or its own
                ancestor, a feature or a bin out of range, or a leaf that is no number.
        """
        splits = len(self.feature)
        if not (
            len(self.bin) == len(self.left) == len(self.right) == splits
            and 1 <= self.leaves == splits + 1 <= MAX_LEAVES
        ):
            raise UsageError(f"a tree of {self.leaves} leaves needs {self.leaves - 1} splits")
        children = np.concatenate([self.left, self.right]).astype(int)
        parents = np.tile(np.arange(splits), 2)
        wanted = [*range(-splits - 1, 0), *range(1, splits)] if splits else []
        if sorted(children.tolist()) != wanted or ((children >= 0) & (children <= parents)).any():
            raise UsageError("the splits do not form a tree, each child after its parent")
        if splits and (int(self.feature.max()) >= features or int(self.bin.max()) > LAST_BIN):
            raise UsageError(f"a split is not over {features} features of bins up to {LAST_BIN}")
        if not (np.abs(self.value) <= MAX_VALUE).all():
            raise UsageError(f"a leaf is no number within ±{MAX_VALUE:g}")


@dataclass(frozen=True, eq=False)
class Forest:
    """A sum of trees.

    Attributes:
        base: Score of a row before any tree (log odds).
        trees: The trees; the order does not matter to the score.
    """

    base: float = 0.0
    trees: tuple[Tree, ...] = ()

    def __len__(self) -> int:
        """Return the number of trees."""
        return len(self.trees)

    def __add__(self, other: Forest) -> Forest:
        """Return the forest whose scores are the sum of both."""
        return Forest(self.base + other.base, self.trees + other.trees)

    def scaled(self, weight: float) -> Forest:
        """Return the forest whose scores are ``weight`` times these."""
        by = np.float64(weight)
        return Forest(
            float(self.base * by),
            tuple(
                Tree(t.feature, t.bin, t.left, t.right, (t.value * by).astype(np.float32))
                for t in self.trees
            ),
        )

    def canonical(self) -> Forest:
        """Return the forest of canonical trees; see :meth:`Tree.canonical`."""
        return Forest(self.base, tuple(tree.canonical() for tree in self.trees))

    def check(self, features: int = MAX_FEATURES) -> None:
        """Refuse what is not a forest over so many features.

        Raises:
            UsageError: As for :meth:`Tree.check`, or a base that is no number.
        """
        if not abs(self.base) <= MAX_VALUE:
            raise UsageError(f"a forest's base is no number within ±{MAX_VALUE:g}")
        for tree in self.trees:
            tree.check(features)

    def raw_scores(self, binned: UInt8s) -> Float64s:
        """Return the score of each row (log odds).

        Args:
            binned: uint8 (n, f).

        Returns:
            float64 (n,).

        Raises:
            UsageError: The rows have fewer features than a split looks at.
        """
        from frugalfl.trees.scoring import add_scores

        scores = np.full(len(binned), self.base)
        add_scores(self.trees, binned, scores)
        return scores


def total(forests: Sequence[Forest], weights: Sequence[float]) -> Forest:
    """Return the weighted sum of forests."""
    scaled = [forest.scaled(by) for forest, by in zip(forests, weights, strict=True)]
    trees = tuple(tree for forest in scaled for tree in forest.trees)
    return Forest(sum(forest.base for forest in scaled), trees)
