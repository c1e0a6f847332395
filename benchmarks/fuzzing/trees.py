"""Decoders of trees: frames, bins, sketches, histograms' questions and answers, leaves, texts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from frugalfl.trees import Bins, Forest, Tree, decode_forest, encode_forest, sketch
from frugalfl.trees.histogram import Grid, Split, Sums
from frugalfl.trees.leaves import LeafSums
from frugalfl.trees.messages import Reply, Request
from frugalfl.trees.parcel import Parcel
from frugalfl_client.trees.lightgbm import parse_trees
from fuzzing.decoder import Decoder
from fuzzing.mutate import bytes_like, sealed, text_like, with_crc

_ROWS, _NODES, _LEAVES = 200, 2, 9
_GRID = Grid((9, 5, 30))
_TEXT = """tree

Tree=0
num_leaves=3
num_cat=0
split_feature=0 2
threshold=3.5 7.5
left_child=1 -1
right_child=-2 -3
leaf_value=0.1 -0.2 0.30000000000000004

Tree=1
num_leaves=1
leaf_value=0.5

end of trees
"""


def decoders() -> Iterator[Decoder]:
    """Yield them."""
    rng = np.random.default_rng(2)
    crc = sealed(with_crc)
    forest = Forest(0.25, tuple(_tree(rng, leaves) for leaves in (1, 3, _LEAVES)))
    frame = encode_forest(forest)
    yield Decoder("forest", [frame], crc, lambda data: decode_forest(data, 3), 3)
    edges = tuple(np.sort(rng.normal(size=n - 1)).astype(np.float32) for n in _GRID.counts)
    bins = Bins(edges).to_bytes()
    yield Decoder("bins", [bins], crc, Bins.from_bytes, 3)
    sketched = sketch(rng.normal(size=(_ROWS, 3)).astype(np.float32)).to_bytes()
    yield Decoder("sketch", [sketched], crc, _sketch_of, 3)
    splits = (Split(0, 1, 3), Split(1, 0, 2))
    request = Request(0, 7, forest, splits, (3, 4)).to_bytes()
    yield Decoder("histograms' request", [request], crc,
                  lambda data: Request.from_bytes(data, _GRID), 3)  # fmt: skip
    reply = Reply(3, _sums(rng)).to_bytes(_GRID)
    yield Decoder("histograms' reply", [reply], crc,
                  lambda data: Reply.from_bytes(data, _NODES, _GRID), 3)  # fmt: skip
    leaves = LeafSums(rng.integers(-99, 99, _LEAVES), rng.integers(0, 50, _LEAVES)).to_bytes()
    yield Decoder("leaves' sums", [leaves], crc,
                  lambda data: LeafSums.from_bytes(data, _LEAVES, _ROWS), 3)  # fmt: skip
    parcel = Parcel(bins, [frame, frame], request).pack()
    yield Decoder("trees' parcel", [parcel], bytes_like, Parcel.unpack, 2)
    yield Decoder("LightGBM's text", [_TEXT], text_like, _canonical, 2)


def _tree(rng: np.random.Generator, leaves: int) -> Tree:
    splits = leaves - 1
    left = np.array([*range(1, splits), -1][:splits], np.int16)  # each split is left of the last
    right = np.array([-2 - number for number in range(splits)], np.int16)
    return Tree(
        rng.integers(0, 3, splits).astype(np.uint8), rng.integers(0, 5, splits).astype(np.uint8),
        left, right, rng.normal(size=leaves).astype(np.float32),
    )  # fmt: skip


def _sums(rng: np.random.Generator) -> Sums:
    cells = np.zeros((_NODES, *_GRID.inside.shape, 2), np.int64)
    cells[:, :, 0] = rng.integers(0, 40, (_NODES, 1, 2))  # one bin: every feature's sum is the same
    return Sums(np.full(_NODES, _ROWS), np.full((_NODES, 2), 5 << 20), cells)


def _sketch_of(data: bytes) -> None:
    from frugalfl.trees import Sketch, agree

    agree([Sketch.from_bytes(data)])


def _canonical(text: str) -> None:
    Forest(0.0, parse_trees(text)).canonical()
