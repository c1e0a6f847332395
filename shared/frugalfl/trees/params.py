"""How trees grow: what every way of training them takes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from frugalfl.errors import UsageError
from frugalfl.trees.forest import MAX_LEAVES, MAX_VALUE


@dataclass(frozen=True)
class Growth:
    """How a tree grows; the names LightGBM has for it are in brackets.

    Attributes:
        learning_rate: What a tree's leaves are multiplied by.
        leaves: Most leaves of a tree (``num_leaves``).
        min_rows_in_leaf: Fewest rows of a leaf (``min_data_in_leaf``).
        min_hessian_in_leaf: Least sum of hessians of a leaf (``min_sum_hessian_in_leaf``).
        l2: Added to each sum of hessians (``lambda_l2``).
        max_step: Largest leaf before the learning rate, in log odds (``max_delta_step``). Where
            one row in a hundred is a fraud, a leaf of frauds alone would jump by 100.
    """

    learning_rate: float = 0.1
    leaves: int = 31
    min_rows_in_leaf: int = 20
    min_hessian_in_leaf: float = 1e-3
    l2: float = 1.0
    max_step: float = 10.0

    def __post_init__(self) -> None:
        if not 2 <= self.leaves <= MAX_LEAVES:
            raise UsageError(f"a tree has 2 to {MAX_LEAVES} leaves, not {self.leaves}")
        if not 0 < self.learning_rate <= 1:
            raise UsageError(f"the learning rate is above 0, at most 1, not {self.learning_rate}")
        if self.min_rows_in_leaf < 1:
            raise UsageError(f"a leaf has 1 row or more, not {self.min_rows_in_leaf}")
        if not 0 < self.max_step <= MAX_VALUE:
            raise UsageError(f"a leaf's largest step is above 0, not {self.max_step}")
        for name, value in (("l2", self.l2), ("least hessian", self.min_hessian_in_leaf)):
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(f"the {name} of a leaf is not below 0, nor {value}")
