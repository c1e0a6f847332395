"""A tree frame: a forest as few bytes, checksummed, bounded; `docs/trees.md` has the layout.

A tree travels in preorder, its choices range coded with frequencies that both ends learn on the
way: is it a leaf, which feature, which bin of those that can still come there, which multiple of
1/127 of the tree's largest leaf. A tree of 31 leaves takes some 75 B; as LightGBM's text without
its statistics, deflated, 500 B.
"""

from __future__ import annotations

import struct
from itertools import accumulate

import numpy as np

from frugalfl.codec.buffer import varint
from frugalfl.codec.entropy.rangecoder import Decoder, Encoder, PickCoder, fresh
from frugalfl.errors import FrameError, UsageError
from frugalfl.trees.forest import (
    LAST_BIN,
    MAX_FEATURES,
    MAX_LEAVES,
    MAX_VALUE,
    Forest,
    Reach,
    Tree,
)
from frugalfl.trees.sealed import opened, sealed

_START = b"fT\x01"
#: Leaves are multiples of 1/127 of the largest: int8.
LEVELS = 127
MAX_TREES = 1 << 16
#: Contexts of "is a leaf": by depth, up to this one.
_DEPTHS = 12
#: What a choice adds to its own weight and to those of its neighbours.
_OWN, _NEAR = 24, 6
_FULL = 1 << 14


def encode_forest(forest: Forest) -> bytes:
    """Return the forest as a tree frame.

    What :func:`decode_forest` returns differs from the forest in the leaves, by at most 1/254 of
    the largest of each tree, in the numbering of splits and leaves, which is canonical, and in
    base and trees of no value at all. Encoding it again gives the same forest.

    Raises:
        UsageError: It is not a forest that a frame can hold.
    """
    forest.check()
    if len(forest) > MAX_TREES:
        raise UsageError(f"a tree frame holds at most {MAX_TREES} trees, not {len(forest)}")
    trees = forest.canonical().trees
    splits = [tree for tree in trees if tree.leaves > 1]
    features = 1 + max((int(tree.feature.max()) for tree in splits), default=0)
    bins = 1 + max((int(tree.bin.max()) for tree in splits), default=0)
    largest = np.array([np.abs(tree.value).max() for tree in trees], "<f4")
    coder = Encoder()
    model = _Model(features, bins)
    for tree, most in zip(trees, largest, strict=True):
        _encode_tree(coder, model, tree, float(most))
    head = _START + struct.pack("<d", forest.base) + varint(len(trees)) + bytes([features, bins])
    return sealed(head + largest.tobytes() + coder.finish())


def decode_forest(data: bytes, features: int, most_trees: int = MAX_TREES) -> Forest:
    """Read a tree frame.

    Args:
        data: What :func:`encode_forest` returned.
        features: How many features the trees may look at.
        most_trees: How many trees are accepted.

    Raises:
        FrameError: Anything about the bytes is not as it should be, or beyond these bounds.
    """
    reader = opened(data, _START)
    (base,) = struct.unpack("<d", reader.bytes(8))
    if not abs(base) <= MAX_VALUE:
        raise FrameError(f"the tree frame's base is no number within ±{MAX_VALUE:g}")
    count = reader.varint(min(most_trees, MAX_TREES))
    looked, bins = reader.byte(), reader.byte()
    if not 1 <= looked <= min(features, MAX_FEATURES):
        raise FrameError(f"the tree frame looks at {looked} features, there are {features}")
    if not 1 <= bins <= LAST_BIN + 1:
        raise FrameError(f"the tree frame has {bins} bins to split at, at most {LAST_BIN + 1} are")
    largest = np.frombuffer(reader.bytes(4 * count), "<f4")
    if not ((largest >= 0) & (largest <= MAX_VALUE)).all():
        raise FrameError(f"a tree's largest leaf is no number from 0 to {MAX_VALUE:g}")
    coder = Decoder(bytes(reader.rest()))
    model = _Model(looked, bins)
    trees = tuple(_decode_tree(coder, model, float(most)) for most in largest)
    if coder.spare_bytes() > 0:
        raise FrameError("the tree frame has bytes after its last tree")
    return Forest(base, trees)


class _Choices:
    """Adaptive frequencies of the numbers below ``count``; a number lends weight to the next."""

    def __init__(self, count: int) -> None:
        self._weights = [1] * count
        self._weight = count

    def code(self, coder: PickCoder, low: int, high: int, value: int) -> int:
        """Code a number from ``low`` to below ``high``, and learn from it."""
        sums = list(accumulate(self._weights[low:high], initial=0))
        value = low + coder.pick(sums, 0, high - low, value - low)
        weights = self._weights
        for place, more in ((value - 1, _NEAR), (value, _OWN), (value + 1, _NEAR)):
            if 0 <= place < len(weights):
                weights[place] += more
                self._weight += more
        if self._weight > _FULL:
            self._weights = [(weight + 1) >> 1 for weight in weights]
            self._weight = sum(self._weights)
        return value


class _Model:
    """What both ends learn: written once, it runs both ways."""

    def __init__(self, features: int, bins: int) -> None:
        self._bins = bins
        self._ends = fresh(_DEPTHS)
        self._feature_weights = [1] * features
        self._edges = [_Choices(bins) for _ in range(features)]
        self._values = _Choices(2 * LEVELS + 1)

    def end(self, coder: PickCoder, depth: int, value: int) -> int:
        """Code whether a node is a leaf."""
        return coder.bit(self._ends, min(depth, _DEPTHS - 1), value)

    def split(self, coder: PickCoder, reach: Reach, feature: int, edge: int) -> tuple[int, int]:
        """Code the feature and the bin of a split, of those that part what can reach it."""
        weights = open_ = self._feature_weights
        closed = [f for f, (low, high) in reach.items() if high <= low]
        if closed or not self._bins:
            open_ = [0 if f in closed or not self._bins else w for f, w in enumerate(weights)]
        sums = list(accumulate(open_, initial=0))
        if not sums[-1]:
            raise FrameError("a tree goes on where no bin is left to split")
        feature = coder.pick(sums, 0, len(weights), feature)
        weights[feature] += 16
        if sum(weights) > _FULL:
            self._feature_weights = [(weight + 1) >> 1 for weight in weights]
        return feature, self._edges[feature].code(coder, *self._room(reach, feature), edge)

    def _room(self, reach: Reach, feature: int) -> tuple[int, int]:
        low, high = reach.get(feature, (0, self._bins))
        return low, high

    def below(self, reach: Reach, feature: int, edge: int) -> tuple[Reach, Reach]:
        """Return what can come to the left and to the right of a split."""
        low, high = self._room(reach, feature)
        return {**reach, feature: (low, edge)}, {**reach, feature: (edge + 1, high)}

    def value(self, coder: PickCoder, value: int) -> int:
        """Code a leaf's multiple."""
        return self._values.code(coder, 0, 2 * LEVELS + 1, value + LEVELS) - LEVELS


def _encode_tree(coder: Encoder, model: _Model, tree: Tree, largest: float) -> None:
    by = LEVELS / largest if largest else 0.0
    multiples = [round(float(value) * by) for value in tree.value]
    waiting: list[tuple[int, int, Reach]] = [(0 if tree.leaves > 1 else ~0, 0, {})]
    while waiting:
        node, depth, reach = waiting.pop()
        if model.end(coder, depth, int(node < 0)):
            if largest:
                model.value(coder, multiples[~node])
            continue
        feature, edge = int(tree.feature[node]), int(tree.bin[node])
        model.split(coder, reach, feature, edge)
        left, right = model.below(reach, feature, edge)
        waiting.append((int(tree.right[node]), depth + 1, right))
        waiting.append((int(tree.left[node]), depth + 1, left))


def _decode_tree(coder: Decoder, model: _Model, largest: float) -> Tree:
    splits: list[tuple[int, int]] = []
    children: list[list[int]] = []
    values: list[float] = []
    waiting: list[tuple[int, int, int, Reach]] = [(-1, 0, 0, {})]
    while waiting:
        parent, side, depth, reach = waiting.pop()
        leaf = model.end(coder, depth, 0)
        if parent >= 0:
            children[parent][side] = ~len(values) if leaf else len(splits)
        if leaf:
            values.append(model.value(coder, 0) * largest / LEVELS if largest else 0.0)
            continue
        split = model.split(coder, reach, 0, 0)
        left, right = model.below(reach, *split)
        waiting.append((len(splits), 1, depth + 1, right))
        waiting.append((len(splits), 0, depth + 1, left))
        splits.append(split)
        children.append([0, 0])
        if len(values) + len(waiting) > MAX_LEAVES:
            raise FrameError(f"a tree of the frame has more than {MAX_LEAVES} leaves")
    chosen = np.array(splits, np.uint8).reshape(-1, 2)
    ends = np.array(children, np.int16).reshape(-1, 2)
    return Tree(
        chosen[:, 0].copy(),
        chosen[:, 1].copy(),
        ends[:, 0].copy(),
        ends[:, 1].copy(),
        np.array(values, np.float32),
    )
