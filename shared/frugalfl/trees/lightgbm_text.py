"""A forest as the text that LightGBM loads: for whoever has tools for LightGBM models.

Only what scoring needs is in it; LightGBM reads the rest (counts, gains, feature ranges) as
unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from frugalfl.errors import UsageError
from frugalfl.trees.bins import Bins
from frugalfl.trees.forest import Forest, Tree

#: Every number is at most this: the threshold of a split after the last bin.
_ALL = float(np.finfo(np.float64).max)
#: A numerical split; a missing value counts as 0.
_NUMERICAL = 0


def to_lightgbm_text(forest: Forest, bins: Bins, names: Sequence[str]) -> str:
    """Return a text for ``lightgbm.Booster(model_str=...)``, over features, not over bins.

    Its raw scores are the forest's, its predictions the probabilities.

    Args:
        forest: The trees.
        bins: What they were trained on.
        names: Of the features, without spaces.

    Raises:
        UsageError: Names that LightGBM cannot take, or trees of other features.
    """
    if len(names) != len(bins) or len(set(names)) != len(names):
        raise UsageError(f"{len(bins)} features need as many different names, not {len(names)}")
    for name in names:
        if not name or any(c.isspace() or c in '",:[]{}' for c in name):
            raise UsageError(f"LightGBM takes no spaces, commas, quotes or brackets: {name!r}")
    forest.check(len(bins))
    head = [
        "tree",
        "version=v4",
        "num_class=1",
        "num_tree_per_iteration=1",
        "label_index=0",
        f"max_feature_idx={len(bins) - 1}",
        "objective=binary sigmoid:1",
        f"feature_names={' '.join(names)}",
        f"feature_infos={' '.join(['none'] * len(bins))}",
    ]
    # The base is a tree of one leaf, in full precision.
    blocks = ["\n".join(head), _written(0, 1, [], [forest.base])]
    blocks += [_block(number, tree, bins) for number, tree in enumerate(forest.trees, 1)]
    return "\n\n".join([*blocks, "end of trees\n"])


def _block(number: int, tree: Tree, bins: Bins) -> str:
    if tree.leaves == 1:
        return _written(number, 1, [], tree.value.tolist())
    thresholds = [
        _ALL if b >= len(bins.edges[f]) else float(bins.edges[f][b])
        for f, b in zip(tree.feature.tolist(), tree.bin.tolist(), strict=True)
    ]
    splits = [
        f"split_feature={_row(tree.feature.tolist())}",
        f"threshold={_row(thresholds)}",
        f"decision_type={_row([_NUMERICAL] * len(thresholds))}",
        f"left_child={_row(tree.left.tolist())}",
        f"right_child={_row(tree.right.tolist())}",
    ]
    return _written(number, tree.leaves, splits, tree.value.tolist())


def _written(number: int, leaves: int, splits: list[str], values: list[float]) -> str:
    start = [f"Tree={number}", f"num_leaves={leaves}", "num_cat=0"]
    return "\n".join([*start, *splits, f"leaf_value={_row(values)}", "is_linear=0", "shrinkage=1"])


def _row(numbers: Iterable[float]) -> str:
    return " ".join(map(repr, numbers))
