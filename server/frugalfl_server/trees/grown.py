"""The trees of a run so far, and what each client holds of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from frugalfl.trees.bins import Bins
from frugalfl.trees.forest import Forest
from frugalfl.trees.frame import decode_forest, encode_forest
from frugalfl.trees.parcel import Parcel


class Grown:
    """The agreed bins, and the model as segments: one tree frame for each step.

    The server's model is what the frames say, not what they were made of, so that it has the same
    bits as the clients'.

    Attributes:
        bins: Agreed by all clients.
        segments: Tree frames; the first has the base alone.
        forest: Their sum.
        added: The newest of them.
    """

    def __init__(self, bins: Bins, base: float) -> None:
        """Begin.

        Args:
            bins: Agreed by all clients.
            base: Score of every row before the first tree (log odds).
        """
        self.bins = bins
        self._packed_bins = bins.to_bytes()
        self.segments: list[bytes] = []
        self.forest = self.added = Forest()
        self._held: dict[int, int] = {}
        self.add(Forest(base))

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> Grown:
        """Go on with what :meth:`state` returned.

        Raises:
            FrameError: It is damaged.
        """
        grown = cls(Bins.from_bytes(state["bins"]), 0.0)
        grown.segments, grown.forest = [], Forest()
        for segment in state["segments"]:
            grown.take_over(segment)
        grown._held = {node: version for node, version in state["held"]}
        return grown

    def state(self) -> dict[str, Any]:
        """Return the model, and what each client holds of it, for a checkpoint."""
        return {
            "bins": self._packed_bins,
            "segments": self.segments,
            "held": list(self._held.items()),
        }

    @property
    def chance(self) -> float | None:
        """Of each row, before the first tree: all have the same; ``None``: there are trees."""
        return None if self.forest.trees else 1 / (1 + math.exp(-self.forest.base))

    @property
    def version(self) -> int:
        """Number of segments."""
        return len(self.segments)

    def add(self, step: Forest) -> None:
        """Add trees to the model; ``added`` is what they are for everybody."""
        self.take_over(encode_forest(step))

    def take_over(self, segment: bytes) -> None:
        """Add a tree frame to the model.

        Raises:
            FrameError: It is damaged, or for other bins.
        """
        self.segments.append(segment)
        self.added = decode_forest(segment, len(self.bins))
        self.forest += self.added

    def steps(self) -> Iterator[Forest]:
        """Yield what the model was added up from, in that order; the base alone comes first."""
        for segment in self.segments:
            yield decode_forest(segment, len(self.bins))

    def parcel_for(self, node: int, version: int, question: bytes = b"") -> tuple[int, Parcel]:
        """Return which version a client must hold, -1 for none, and what it is sent.

        Args:
            node: The client.
            version: Which it is to hold then.
            question: What else it is asked.
        """
        base = self._held.get(node, -1)
        if not 0 <= base <= version:
            return -1, Parcel(self._packed_bins, self.segments[:version], question)
        return base, Parcel(b"", self.segments[base:version], question)

    def confirm(self, node: int, held: int) -> None:
        """Note the version that a client says it holds."""
        self._held[node] = held

    def packed(self) -> bytes:
        """Return bins and all segments."""
        return Parcel(self._packed_bins, self.segments).pack()
