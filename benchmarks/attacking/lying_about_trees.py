"""Clients that lie about trees: from an honest answer to the one that is sent instead."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flwr.app import Context, Error, Message
from flwr.common.constant import ErrorCode

from attacking.rare import LIAR
from frugalfl import wire
from frugalfl.codec.buffer import Reader, varint
from frugalfl.trees import (
    Bins,
    Forest,
    Grid,
    Reply,
    Request,
    Sketch,
    Sums,
    Tree,
    decode_forest,
    encode_forest,
)
from frugalfl.trees.leaves import LeafSums
from frugalfl.trees.parcel import Parcel
from frugalfl.trees.ways import HISTOGRAM, SKETCH
from frugalfl_client.app import app as client_app

MOST = (1 << 31) - 1


@dataclass
class Lies:
    """What a liar changes; each takes the honest thing and the step's number, from 1.

    Attributes:
        sketch: Of positive rows and sketch.
        forest: Of new trees, or their shapes.
        sums: Of the sums in leaves.
        histograms: Of these, of all rows or not, and the number of the tree.
        frame: Of the bytes, after all others.
        rows: The rows it claims with each answer.
        held: The version that it says it holds.
        error: Sent in place of every answer but the sketch; ``""``: silence.
    """

    sketch: Callable[[int, Sketch], tuple[int, Sketch]] = lambda *both: both
    forest: Callable[[Forest, int], Forest] = lambda forest, _: forest
    sums: Callable[[LeafSums, int], LeafSums] = lambda sums, _: sums
    histograms: Callable[[Sums, bool, int], Sums | None] = lambda sums, *_: sums
    frame: Callable[[bytes], bytes] = lambda frame: frame
    rows: Callable[[int], int] = lambda rows: rows
    held: int | None = None
    error: str | None = None


class Liar:
    """A client app of which one client lies."""

    def __init__(self, lies: Lies) -> None:
        self._lies = lies
        self._bins: Bins | None = None
        self._steps = 0

    def __call__(self, message: Message, context: Context) -> Message:
        """Answer honestly, and change that."""
        reply = client_app(message, context)
        mine = context.node_config["partition-id"] == LIAR
        if not mine or message.metadata.message_type != wire.TREES or reply.has_error():
            return reply
        request = wire.unpack_trees_request(message)
        if request.way != SKETCH and self._lies.error is not None:
            code = 2 if self._lies.error else ErrorCode.NODE_UNAVAILABLE
            return Message(Error(code, self._lies.error or "gone"), reply_to=message)
        content: Any = reply.content
        array = content["arrays"]["frames"]
        array.data = self._lies.frame(self._told(request, array.data))
        if request.way != SKETCH:
            metrics = content["metrics"]
            metrics["num-examples"] = self._lies.rows(int(metrics["num-examples"]))
            if self._lies.held is not None:
                content["config"]["held"] = self._lies.held
        return reply

    def _told(self, request: wire.TreesRequest, frame: bytes) -> bytes:
        lies = self._lies
        if request.way == SKETCH:
            reader = Reader(frame)
            positives, sketch = reader.varint(MOST), Sketch.from_bytes(bytes(reader.rest()))
            positives, sketch = lies.sketch(positives, sketch)
            return varint(positives) + sketch.to_bytes()
        parcel = Parcel.unpack(request.parcel)
        if parcel.bins:
            self._bins = Bins.from_bytes(parcel.bins)
        assert self._bins is not None
        if request.way.startswith(HISTOGRAM):
            return self._histograms(parcel.question, frame)
        if parcel.question:
            trees = decode_forest(parcel.question, len(self._bins)).trees
            leaves = sum(tree.leaves for tree in trees)
            return lies.sums(LeafSums.from_bytes(frame, leaves, MOST), self._steps).to_bytes()
        self._steps += 1
        return _encoded(lies.forest(decode_forest(frame, len(self._bins)), self._steps))

    def _histograms(self, question: bytes, frame: bytes) -> bytes:
        assert self._bins is not None
        grid = Grid(self._bins.counts)
        asked = Request.from_bytes(question, grid)
        reply = Reply.from_bytes(frame, len(asked.wanted), grid)
        if reply.sums is None:
            return frame
        self._steps += not asked.splits
        sums = self._lies.histograms(reply.sums, not asked.splits, self._steps)
        return Reply(reply.held if sums else 0, sums).to_bytes(grid)


def _encoded(forest: Forest) -> bytes:
    """Encode also what no honest encoder takes: leaves that are no number."""
    values = [tree.value for tree in forest.trees]
    if all(np.isfinite(one).all() for one in values):
        return encode_forest(forest)
    sound = encode_forest(
        Forest(forest.base, tuple(_valued(t, np.ones_like) for t in forest.trees))
    )
    head = 3 + 8 + len(varint(len(forest))) + 2
    told = sound[:head] + struct.pack("<f", float("nan")) * len(forest)
    body = told + sound[len(told) : -4]
    return body + zlib.crc32(body).to_bytes(4, "little")


def _valued(tree: Tree, change: Callable[[Any], Any]) -> Tree:
    return Tree(
        tree.feature, tree.bin, tree.left, tree.right, change(tree.value).astype(np.float32)
    )


def leaves(change: Callable[[Any], Any], since: int = 1) -> Lies:
    """Return a lie about the values of new trees' leaves."""

    def told(forest: Forest, step: int) -> Forest:
        if step < since:
            return forest
        return Forest(forest.base, tuple(_valued(tree, change) for tree in forest.trees))

    return Lies(forest=told)


def sums(change: Callable[[Any], Any], hessians: bool = True, since: int = 1) -> Lies:
    """Return a lie about gradients (and hessians) in leaves and histograms."""

    def of_leaves(honest: LeafSums, step: int) -> LeafSums:
        if step < since:
            return honest
        other = change(honest.hessians) if hessians else honest.hessians
        return LeafSums(change(honest.gradients), other)

    def of_bins(honest: Sums, _: bool, step: int) -> Sums:
        if step < since:
            return honest
        cells, totals = honest.cells.copy(), honest.totals.copy()
        gradient = change(cells[..., 0] + cells[..., 1])
        if hessians:
            cells[..., 1], totals[:, 1] = change(cells[..., 1]), change(totals[:, 1])
        cells[..., 0] = gradient - cells[..., 1]
        totals[:, 0] = change(totals[:, 0])
        return Sums(honest.rows, totals, cells)

    return Lies(sums=of_leaves, histograms=of_bins)


def split_elsewhere(forest: Forest, step: int) -> Forest:
    """Split after bins that were never agreed on."""
    return Forest(
        0.0,
        tuple(
            Tree(t.feature, np.full_like(t.bin, 200), t.left, t.right, t.value)
            for t in forest.trees
            if t.leaves == 2
        )
        or (Tree(*(np.array([n], k) for n, k in ((0, "u1"), (200, "u1"), (-1, "i2"), (-2, "i2"))),
                 np.array([1, -1], np.float32)),),
    )  # fmt: skip


def far_away(positives: int, sketch: Sketch) -> tuple[int, Sketch]:
    """Claim nine times the rows, all of them far beyond everybody else's values."""
    values = tuple(np.linspace(1e4, 2e4, 64).astype(np.float32) for _ in sketch.values)
    shares = tuple(np.full(64, 1000, np.uint16) for _ in values)
    return positives, Sketch(9 * sketch.rows, values, shares)


def heavy(positives: int, sketch: Sketch) -> tuple[int, Sketch]:
    """Let each value stand for all rows."""
    full = tuple(np.full_like(one, 65535) for one in sketch.shares)
    return positives, replace(sketch, shares=full)


def claiming(rows: int) -> Lies:
    """Return a claim of many rows, in the sketch and with each answer."""
    return Lies(sketch=lambda _, one: (rows // 2, replace(one, rows=rows)), rows=lambda _: rows)
