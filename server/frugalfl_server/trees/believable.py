"""What rows can give: exact bounds on what a client says of its own rows, without its peers.

For the logistic loss a row of probability p has the gradient p - y and the hessian p(1 - p). So the
sum of all gradients and the number of positive rows give the sum of p, and the sum of hessians is
at most that of rows which all have the mean p (Jensen). At the first step p is the base rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from frugalfl.errors import FrameError
from frugalfl.trees.bins import Bins
from frugalfl.trees.forest import Forest, Tree
from frugalfl.trees.leaves import LEAF_BITS, LeafSums
from frugalfl.trees.params import Growth

#: Leaves are float32 multiples of float32.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Rows:
    """What a client's sums have to fit.

    Attributes:
        rows: As the client claims.
        positives: Of class 1, as it claimed with its sketch.
        chance: Of each row, where all have the same (the first step); ``None``: unknown.
    """

    rows: int
    positives: int
    chance: float | None = None

    def check(self, gradient: float, hessian: float, slack: float) -> None:
        """Refuse sums over all rows that these rows cannot give.

        Args:
            gradient: Sum of gradients.
            hessian: Sum of hessians.
            slack: How far each may be off by rounding.

        Raises:
            FrameError: They do not fit.
        """
        if self.chance is not None:
            right = self.rows * self.chance - self.positives
            curved = self.rows * self.chance * (1 - self.chance)
            fits = abs(gradient - right) <= slack and abs(hessian - curved) <= slack
        else:
            chances = gradient + self.positives
            most = chances - chances**2 / self.rows
            fits = -slack <= chances <= self.rows + slack and hessian <= most + 3 * slack
        if not fits:
            raise FrameError(
                f"its sums are not those of its {self.rows} rows, {self.positives} of class 1"
            )


def check_shapes(forest: Forest, bins: Bins, growth: Growth) -> None:
    """Refuse trees larger than were asked for, or split where no bins are.

    Raises:
        FrameError: One of them is.
    """
    for tree in forest.trees:
        if tree.leaves > growth.leaves:
            raise FrameError(
                f"it sends a tree of {tree.leaves} leaves, {growth.leaves} were asked for"
            )
        last = np.array(bins.counts)[tree.feature] - 2
        if (tree.bin > last).any():
            at = int((tree.bin > last).argmax())
            raise FrameError(
                f"it splits feature {tree.feature[at]} after bin {tree.bin[at]}, "
                "where no bin of the agreed ones follows"
            )
    if forest.base:
        raise FrameError(f"it sends new trees with a base of {forest.base:g}; theirs is 0")


def check_values(forest: Forest, growth: Growth) -> None:
    """Refuse leaves beyond the largest step, and trees that split for nothing.

    Raises:
        FrameError: There are such.
    """
    most = growth.max_step * growth.learning_rate * (1 + _ROUNDING)
    largest = max((float(np.abs(tree.value).max()) for tree in forest.trees), default=0.0)
    if largest > most:
        raise FrameError(f"it sends a leaf of {largest:.3g}, the largest step is {most:.3g}")
    if not largest and any(tree.leaves > 1 for tree in forest.trees):
        raise FrameError("it sends trees of which every leaf is 0")


def check_no_values(forest: Forest) -> None:
    """Refuse shapes of trees that have values.

    Raises:
        FrameError: They have.
    """
    if any(tree.value.any() for tree in forest.trees):
        raise FrameError("it sends trees with values, shapes alone were asked for")


def check_leaf_sums(trees: Sequence[Tree], sums: LeafSums, rows: Rows | None) -> None:
    """Refuse sums in leaves that are not of the same rows in every tree.

    Args:
        trees: What the leaves are of.
        sums: As the client sent them.
        rows: What it claims to have; ``None``: unknown.

    Raises:
        FrameError: No rows give such sums.
    """
    if not trees:
        return
    if not sums.hessians.any():
        raise FrameError("its sums of hessians are all 0")
    starts = np.cumsum([0, *(tree.leaves for tree in trees[:-1])])
    # Each leaf is rounded by half a unit at most.
    slack = np.array([tree.leaves / 2 + 1 for tree in trees])
    whole = [np.add.reduceat(part, starts) for part in (sums.gradients, sums.hessians)]
    for totals in whole:
        if (totals - slack).max() > (totals + slack).min():
            raise FrameError("its sums are not of the same rows in every tree")
    if rows is not None:
        gradient, hessian = (float(np.ldexp(np.median(part), -LEAF_BITS)) for part in whole)
        rows.check(gradient, hessian, float(np.ldexp(slack.max(), -LEAF_BITS)))
