"""What server and branch send each other while trees grow from histograms; `docs/trees.md`.

A request names everything that a branch needs: the trees that are finished, all splits of the one
that grows, the nodes wanted. A branch that was restarted answers it as any other.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from frugalfl.codec.buffer import varint
from frugalfl.errors import FrameError
from frugalfl.trees.forest import Forest, Tree
from frugalfl.trees.frame import MAX_TREES, decode_forest, encode_forest
from frugalfl.trees.histogram import (
    FINE_BITS,
    MAX_ROWS,
    MAX_SPLITS,
    Grid,
    Split,
    Sums,
    check_splits,
)
from frugalfl.trees.integers import folded, packed_integers, unfolded, unpacked_integers
from frugalfl.trees.sealed import opened, sealed

_REQUEST = b"fG\x01"
_REPLY = b"fH\x01"
_MAX_FRAME = 1 << 24


@dataclass(frozen=True, eq=False)
class Request:
    """What a branch is asked for.

    Attributes:
        held: How many finished trees the branch has already.
        mark: The mark of these; see :func:`marks`.
        new: The finished trees after these; with the base of the whole forest.
        splits: Of the tree that grows.
        wanted: Nodes whose sums are wanted.
    """

    held: int
    mark: int
    new: Forest
    splits: tuple[Split, ...]
    wanted: tuple[int, ...]

    def to_bytes(self) -> bytes:
        """Return the request as bytes."""
        frame = encode_forest(self.new)
        parts = [
            _REQUEST,
            varint(self.held),
            struct.pack("<I", self.mark),
            varint(len(frame)),
            frame,
        ]
        parts.append(varint(len(self.splits)))
        for split in self.splits:
            parts += [varint(split.node), bytes([split.feature, split.bin])]
        parts += [varint(len(self.wanted)), *map(varint, self.wanted)]
        return sealed(b"".join(parts))

    @classmethod
    def from_bytes(cls, data: bytes, grid: Grid) -> Request:
        """Read what :meth:`to_bytes` wrote.

        Raises:
            FrameError: Anything about the bytes is not as it should be, or asks for what no tree
                over this grid has.
        """
        reader = opened(data, _REQUEST)
        held = reader.varint(MAX_TREES)
        (mark,) = struct.unpack("<I", reader.bytes(4))
        frame = bytes(reader.bytes(reader.varint(_MAX_FRAME)))
        new = decode_forest(frame, len(grid.counts))
        splits = tuple(
            Split(reader.varint(2 * MAX_SPLITS), reader.byte(), reader.byte())
            for _ in range(reader.varint(MAX_SPLITS))
        )
        wanted = tuple(
            reader.varint(2 * MAX_SPLITS) for _ in range(reader.varint(2 * len(splits) + 1))
        )
        if not reader.finished:
            raise FrameError("the request has bytes after its last node")
        check_splits(splits, wanted, grid)
        return cls(held, mark, new, splits, wanted)


@dataclass(frozen=True, eq=False)
class Reply:
    """What a branch answers.

    Attributes:
        held: How many finished trees the branch has now, if it has those that the request names;
            otherwise 0, and the request has to be sent with all of them.
        sums: Of the wanted nodes; ``None`` if trees are missing.
    """

    held: int
    sums: Sums | None

    def to_bytes(self, grid: Grid) -> bytes:
        """Return the reply as bytes."""
        if self.sums is None:
            return sealed(_REPLY + varint(self.held) + b"\0")
        sums = self.sums
        numbers = [*sums.rows.tolist(), *folded(sums.totals).ravel().tolist()]
        parts = [_REPLY, varint(self.held), varint(len(sums.rows)), *map(varint, numbers)]
        for part in range(2):
            parts.append(packed_integers(sums.cells[:, :, :, part][:, grid.inside]))
        return sealed(b"".join(parts))

    @classmethod
    def from_bytes(cls, data: bytes, nodes: int, grid: Grid) -> Reply:
        """Read what :meth:`to_bytes` wrote.

        Args:
            data: What a branch sent.
            nodes: How many nodes were wanted.
            grid: What was agreed on.

        Raises:
            FrameError: Anything about the bytes is not as it should be, or no rows give such sums.
        """
        reader = opened(data, _REPLY)
        held, count = reader.varint(MAX_TREES), reader.varint(nodes)
        if not count and nodes:
            if not reader.finished:
                raise FrameError("the reply has bytes after its end")
            return cls(held, None)
        if count != nodes:
            raise FrameError(f"the reply is of {count} nodes, {nodes} were wanted")
        rows = np.array([reader.varint(MAX_ROWS) for _ in range(nodes)], np.int64)
        most = 2 * MAX_ROWS << FINE_BITS
        folds = np.array([reader.varint(most) for _ in range(2 * nodes)], np.int64)
        bins = int(grid.inside.sum())
        cells = np.zeros((nodes, *grid.inside.shape, 2), np.int64)
        for part in range(2):
            cells[:, grid.inside, part] = unpacked_integers(reader, nodes * bins).reshape(
                nodes, bins
            )
        if not reader.finished:
            raise FrameError("the reply has bytes after its last histogram")
        sums = Sums(rows, unfolded(folds).reshape(nodes, 2), cells)
        check_sums(sums, grid)
        return cls(held, sums)


def marks(forest: Forest, first: int | None = None) -> list[int]:
    """Return checksums: of what comes before a forest, with one tree, with two, and so on.

    Args:
        forest: The trees.
        first: The mark of those before; by default that of the forest's base.
    """
    found = [zlib.crc32(struct.pack("<d", forest.base)) if first is None else first]
    for tree in forest.trees:
        found.append(next_mark(found[-1], tree))
    return found


def next_mark(mark: int, tree: Tree) -> int:
    """Return the mark of one more tree."""
    return zlib.crc32(encode_forest(Forest(0.0, (tree,))), mark)


def check_sums(sums: Sums, grid: Grid) -> None:
    """Refuse sums that no rows have: too large for them, or not the same over every feature."""
    rows, cells = sums.rows, sums.cells
    hessians, above = cells[..., 1], np.abs(cells[..., 0])
    most = rows[:, None, None]
    # A row's hessian is at most 1/4, its gradient 1, each rounded up at most to the next multiple.
    if (hessians < 0).any() or (hessians > most * ((1 << grid.bits) // 4 + 1)).any():
        raise FrameError("a histogram's hessians are not those of as many rows")
    if (above > most * ((1 << grid.bits) + 1)).any():
        raise FrameError("a histogram's gradients are not those of as many rows")
    fine = np.abs(sums.totals) > rows[:, None] << FINE_BITS
    if fine.any() or (sums.totals[:, 1] < 0).any():
        raise FrameError("a node's totals are not those of as many rows")
    totals = cells.sum(axis=2)
    if (totals != totals[:, :1]).any():
        raise FrameError("the histograms of a node's features do not have the same sum")


def total_sums(parts: Sequence[Sums]) -> Sums:
    """Return the sums over all branches, at least one.

    Raises:
        FrameError: More rows than any sum has room for.
    """
    whole = parts[0]
    for part in parts[1:]:
        whole += part
    return whole
