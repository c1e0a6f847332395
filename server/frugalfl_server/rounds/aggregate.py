"""The weighted mean of compressed updates, without making each one dense.

One accumulator of the model's size, in float32. A sparse update is added at its nonzero places
only; the factors of low-rank ones are collected and multiplied together, many at a time; anything
else is decoded whole, one update at a time. So memory is the model, once, and one update as far as
it is unpacked, whatever the number of clients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from frugalfl.blocks import FloatArray, Layout, Parameters
from frugalfl.codec import (
    CodedFrame,
    Compact,
    Limits,
    Product,
    Sparse,
    Steering,
    check_fits,
    read_frame,
)
from frugalfl.errors import FrameError
from frugalfl.native.sums import add_dense, add_sparse, turn_into_mean
from frugalfl_server.rounds.norm_bound import Far, Judge
from frugalfl_server.rounds.norms import Norms, kinds_of, norms_of

#: Entries of a product that are worked out at a time (1 MiB of float32).
_AT_A_TIME = 1 << 18
#: Collected factors are multiplied once they have this rank: enough for a quick matrix product.
_RANK = 64
_MOST_WEIGHT = 2.0**31


@dataclass(slots=True)
class Contribution:
    """One update that was added.

    Attributes:
        weight: Its weight.
        names: The tensors that it held, in order.
        edges: Of a sparse update, where each tensor's nonzero entries begin, and where all end.
    """

    weight: float
    names: tuple[str, ...]
    edges: list[int]
    _weighted: Compact
    _frame: CodedFrame

    def steering(self) -> Steering | None:
        """Return what the frame says of its rounding's step, if it rounds with one."""
        return self._frame.codec.steering(self._frame.payload)

    def magnitudes(self) -> dict[str, float]:
        """Return the sum of the absolute values of each tensor, as decoded, without the weight."""
        parts: Iterable[FloatArray]
        if isinstance(self._weighted, Sparse):
            sizes = np.abs(self._weighted.values)
            parts = [sizes[start:end] for start, end in pairwise(self.edges)]
        else:
            parts = (
                np.abs(part.dense() if isinstance(part, Product) else part)
                for part in self._weighted
            )
        return {
            name: float(np.add.reduce(part, axis=None, dtype=np.float64)) / self.weight
            for name, part in zip(self.names, parts, strict=True)
        }


@dataclass(frozen=True)
class _Span:
    """Entries ``start`` to ``end`` of a frame; they lie ``shift`` further on in the model."""

    start: int
    end: int
    shift: int


class _Places:
    """Where the blocks of a frame lie in the model; worked out once for a round's usual frame."""

    def __init__(self, frame: CodedFrame, layout: Layout, starts: list[int]) -> None:
        check_fits(frame.shapes, layout)
        self.blocks = tuple(frame.shapes)
        self.names = tuple(layout.names(self.blocks))
        sizes = [[int(np.prod(shape)) for shape in shapes] for shapes in frame.shapes.values()]
        self._kinds = kinds_of(layout, self.blocks)
        self._ends = np.cumsum([size for block in sizes for size in block])
        self.spans: list[_Span] = []
        at = 0
        for number, size in zip(self.blocks, map(sum, sizes), strict=True):
            span = _Span(at, at + size, starts[number] - at)
            if self.spans and self.spans[-1].shift == span.shift:
                span = _Span(self.spans.pop().start, span.end, span.shift)
            self.spans.append(span)
            at += size

    def edges(self, update: Compact) -> list[int]:
        """Return where each tensor's entries begin in a sparse update, and where all end."""
        if not isinstance(update, Sparse):
            return []
        return [0, *update.places.searchsorted(self._ends).tolist()]

    def squared_norms(self, update: Compact, edges: list[int]) -> Norms:
        """Return the squared norm of each block's weights, and of its running statistics."""
        if isinstance(update, Sparse):
            parts: list[FloatArray | Product] = [
                update.values[start:end] for start, end in pairwise(edges)
            ]
        else:
            parts = update
        return norms_of(zip(self._kinds, parts, strict=True))


class Accumulator:
    """Adds updates of one model; then gives the model plus their weighted mean.

    A frame may hold some of the blocks only, and each frame others: every block is averaged over
    the updates that held it.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._limits = Limits.of(layout)
        sizes = [[int(np.prod(shape)) for shape in block.shapes] for block in layout.blocks]
        self._starts = np.cumsum([0, *map(sum, sizes)]).tolist()
        self._sums = np.zeros(self._starts[-1], np.float32)
        self._tensors = _tensors(self._sums, layout)
        self._weights = [0.0] * len(layout)
        self._factors: dict[str, list[Product]] = {}
        self._like: CodedFrame | None = None
        self._places: _Places | None = None

    def add(
        self,
        data: bytes | memoryview,
        weight: float,
        check: Callable[[CodedFrame], None] = lambda _: None,
        judge: Judge | None = None,
        share: float = 1.0,
    ) -> Contribution | Far:
        """Add one frame.

        Args:
            data: The frame, as it came.
            weight: Of this update in the mean; with FedAvg, the client's number of rows.
            check: Looks at the frame before it is decoded, and may raise :class:`FrameError`.
            judge: Looks at the update's norms before anything is added, and may have it wait.
            share: What the update is multiplied by; the mean is still over the whole weights.

        Returns:
            What was added; keep it no longer than needed, because it holds the decoded update.
            Or why nothing was: the judge has the update wait.

        Raises:
            FrameError: Anything about the frame is not as it should be, or it does not fit the
                model, or the weight is not a positive number of at most 2**31. Nothing was added.
        """
        if not 0 < weight <= _MOST_WEIGHT:
            raise FrameError(f"the update has the weight {weight}, not one from above 0 to 2**31")
        frame = read_frame(data, self._limits, self._like)
        check(frame)
        places = self._places
        if places is None or self._like is None or frame.shapes is not self._like.shapes:
            places = _Places(frame, self._layout, self._starts)
            self._like, self._places = frame, places
        update = frame.decode_compact()
        edges = places.edges(update)
        far = None if judge is None else judge(places.squared_norms(update, edges))
        if far is not None:
            return far
        # Every check has been made: from here on nothing fails. The arrays are ours to change.
        counted, weight = weight, weight * share
        if isinstance(update, Sparse):
            self._add_sparse(update, places.spans, weight)
        else:
            for name, part in zip(places.names, update, strict=True):
                self._add_part(name, part, weight)
        for number in places.blocks:
            self._weights[number] += counted
        return Contribution(weight, places.names, edges, update, frame)

    def _add_sparse(self, update: Sparse, spans: list[_Span], weight: float) -> None:
        if len(spans) == 1:
            add_sparse(self._sums, *update, weight, spans[0].shift)
            return
        edges = np.searchsorted(update.places, [span.end for span in spans]).tolist()
        for span, start, end in zip(spans, [0, *edges], edges, strict=False):
            places, values = update.places[start:end], update.values[start:end]
            add_sparse(self._sums, places, values, weight, span.shift)

    def _add_part(self, name: str, part: FloatArray | Product, weight: float) -> None:
        if not isinstance(part, Product):
            add_dense(self._tensors[name], part, weight)
            return
        np.multiply(part.left, np.float32(weight), out=part.left)
        collected = self._factors.setdefault(name, [])
        collected.append(part)
        if sum(product.right.shape[0] for product in collected) >= _RANK:
            self._multiply(name)

    def _multiply(self, name: str) -> None:
        """Add the sum of the products that were collected for one tensor: one matrix product."""
        collected = self._factors.pop(name)
        left = np.concatenate([product.left for product in collected], axis=1)
        right = np.concatenate([product.right for product in collected])
        matrix = self._tensors[name].reshape(left.shape[0], right.shape[1])
        rows = max(_AT_A_TIME // right.shape[1], 1)
        for start in range(0, len(matrix), rows):
            matrix[start : start + rows] += left[start : start + rows] @ right

    def finish(self, model: Parameters) -> Parameters:
        """Return the model plus the mean of each block; a block that nobody sent keeps its bits.

        The result takes the accumulator's memory, so this can be done once.

        Args:
            model: The model that the updates are to be added to.
        """
        for name in list(self._factors):
            self._multiply(name)
        for block, weight in zip(self._layout.blocks, self._weights, strict=True):
            for name in block.tensors:
                if weight:
                    turn_into_mean(self._tensors[name], model[name], weight)
                else:
                    self._tensors[name][...] = model[name]
        return self._tensors


def _tensors(flat: FloatArray, layout: Layout) -> Parameters:
    """Return views of a flat vector, one a tensor of the layout."""
    views: Parameters = {}
    at = 0
    for block in layout.blocks:
        for name, shape in zip(block.tensors, block.shapes, strict=True):
            size = int(np.prod(shape))
            views[name] = flat[at : at + size].reshape(shape)
            at += size
    return views
