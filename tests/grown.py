"""Trees of any shape, for tests."""

import numpy as np

from frugalfl.trees import Forest, Tree


def tree(rng, leaves, features=5, bins=20):
    """Return a tree that grew at random leaves, as LightGBM numbers it."""
    splits = leaves - 1
    ends = np.zeros((splits, 2), np.int16)
    at = [None]
    for split in range(splits):
        leaf = int(rng.integers(0, len(at)))
        if at[leaf] is not None:
            ends[at[leaf]] = split
        ends[split] = ~leaf, ~len(at)
        at[leaf] = (split, 0)
        at.append((split, 1))
    return Tree(
        rng.integers(0, features, splits).astype(np.uint8),
        rng.integers(0, bins, splits).astype(np.uint8),
        ends[:, 0].copy(),
        ends[:, 1].copy(),
        rng.normal(size=leaves).astype(np.float32),
    )


def forest(rng, trees, most_leaves=31, features=5, bins=20):
    """Return a forest of such trees."""
    grown = [tree(rng, int(rng.integers(1, most_leaves + 1)), features, bins) for _ in range(trees)]
    return Forest(float(rng.normal()), tuple(grown))


def walked(forest, row):
    """Return one row's score, one split after the other."""
    score = forest.base
    for each in forest.trees:
        node = 0 if each.leaves > 1 else ~0
        while node >= 0:
            left = row[each.feature[node]] <= each.bin[node]
            node = int((each.left if left else each.right)[node])
        score += float(each.value[~node])
    return score
