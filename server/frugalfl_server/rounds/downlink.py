"""What goes down to each client: from the version it holds to the current one, in fewest bytes.

The server keeps one copy of the model as clients see it (the view), and the frames that lead from
each version to the next; of a client it keeps only the number of the version it holds. So memory
does not grow with the number of clients.

A client that missed several rounds is sent whichever is shortest: the frames it missed, one after
the other; their sum as one frame, coded without loss, in which what went up and down again has
cancelled; or a full model. All three lead to the same bits, because the view lives on a grid on
which sums are exact (:func:`~frugalfl.blocks.snap`).

When the model is pruned, a client cuts what it holds by lists of the channels that stay. Cutting
and adding may trade places, so the lists come first: what was missed, on both sides of the pruning,
is then one sum of the pruned model's size.

The rule for old frames: together they take at most 2 B a parameter, about as much as a full model;
older ones are dropped, and so are those that would take long to add up; a client that would need
them is sent a full model. And so is one that missed more frames than a device decodes of a message
(:data:`~frugalfl.codec.MOST_MODELS`), if they cannot be summed up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from frugalfl.blocks import EXACT_BELOW, LATTICE_BITS, Block, FloatArray, Layout, Parameters, snap
from frugalfl.calls import fraction
from frugalfl.codec import (
    MOST_MODELS,
    MOST_PARTS,
    Codec,
    Limits,
    decode_frame,
    encode_cut,
    encode_frame,
    parse_codec,
)
from frugalfl.kept import Kept, take
from frugalfl.plans import downlink_share
from frugalfl_server.rounds.byte_budget import Budget
from frugalfl_server.run.checkpoint import by_client, by_row

#: Without loss, because the view lives on the grid: for full models, and for sums of frames.
#: Running statistics are finer multiples than the weights' differences, and would make those long.
EXACT = "statistics(dyadic | range, dyadic | range)"
#: For a frame after which the view has to be close to the model.
FINE = "dyadic(30%) | range"
#: The share of what a frame dropped that is given up for good.
_FORGOTTEN = np.float32(0.2)
_HALF_A_STEP = np.float32(2.0 ** -(LATTICE_BITS + 1))
#: Entries of decoded frames that are kept at hand, at most (1 MiB).
_AT_HAND = 1 << 18
#: A model as it was drawn from its seed.
SEEDED = "seeded | raw"


@dataclass(frozen=True)
class _Pruning:
    """When the model was pruned, and how.

    Attributes:
        version: The first version of the pruned model.
        kept: The entries that stayed.
        layout: Of the model before.
    """

    version: int
    kept: Kept
    layout: Layout

    def cut(self, base: int) -> bytes:
        """Return what makes the pruned model's shapes of those of an older version."""
        return encode_cut(self.kept, self.layout, base=base, version=self.version)

    def state(self) -> dict[str, Any]:
        """Return all of it, for a checkpoint."""
        blocks = [(block.name, block.tensors, block.shapes) for block in self.layout.blocks]
        return {"version": self.version, "kept": dict(self.kept), "blocks": blocks}

    @classmethod
    def restored(cls, state: dict[str, Any]) -> _Pruning:
        """Make one of what :meth:`state` returned."""
        kept = {name: tuple(axes) for name, axes in state["kept"].items()}
        blocks = (
            Block(name, tuple(tensors), tuple(map(tuple, shapes)))
            for name, tensors, shapes in state["blocks"]
        )
        return cls(state["version"], kept, Layout(tuple(blocks)))


class Downlink:
    """The view, its versions, and who holds which.

    The bits of view, frames and versions have to agree after each step, so one class keeps them,
    with more than twelve methods.
    """

    def __init__(
        self,
        model: Parameters,
        codec: str,
        version: int = 0,
        seed: int | None = None,
        budget_b: int = 0,
        clients: int = 10,
    ) -> None:
        """Begin with a model that nobody holds.

        Args:
            model: The model; clients will see it on the grid.
            codec: Text of the codec for the differences.
            version: Number of this first version.
            seed: The seed that the model was drawn from, if it was: a newcomer is then sent the
                seed and the differences since, as long as that is shorter than a full model.
            budget_b: Most bytes to a client in a round, on average; 0: no budget. Needs a codec
                that begins with a share, such as ``dyadic(1%) | range``.
            clients: Clients of a round; ``dyadic(auto)`` sends fewer entries for fewer of them.
        """
        self.budget = Budget(budget_b, coarsest=4.0)
        self.layout = Layout.of(model)
        self.version = version
        self._first = version
        self.view: Parameters = {name: snap(tensor) for name, tensor in model.items()}
        self.codec = codec
        text = parse_codec(codec).text
        share = f"dyadic({downlink_share(clients):.4g})"
        self._codec = parse_codec(text.replace("dyadic(auto)", share))
        self._exact = parse_codec(EXACT)
        self._limits = Limits.of(self.layout)
        self._frames: deque[bytes] = deque()  # the last one leads to self.version
        self._full: bytes | None = None
        self._held: dict[int, int] = {}
        #: What led to versions, of a small model: it is needed in every round.
        self._decoded: dict[int, Parameters] = {}
        self._pruning: _Pruning | None = None
        self._exact_since = version if self._sums_are_exact() else version + 1
        self._origin: bytes | None = None
        if seed is not None:
            self._origin, _ = encode_frame(
                parse_codec(SEEDED), self.layout, model, base=None, version=version, seed=seed
            )

    @property
    def oldest_version(self) -> int:
        """Updates to any version can be added to the newest one."""
        return 0

    @property
    def coordinates(self) -> tuple[tuple[str, int], ...]:
        """None: weights move themselves."""
        return ()

    @property
    def spread(self) -> float:
        """1: weights move themselves."""
        return 1.0

    def trained(self, planned: Iterable[int]) -> list[str]:
        """Return the names of these blocks' tensors."""
        return self.layout.names(planned)

    def moved(self, model: Parameters) -> Parameters:
        """Return the model: its own tensors move."""
        return model

    def whole(self, moved: Parameters) -> Parameters:
        """Return the model: its own tensors move."""
        return moved

    def come_to(self, model: Parameters) -> None:
        """Bring the view close to a model that is no round's."""
        self.advance(model, fine=True)

    def advance(self, moved: Parameters, fine: bool = False) -> Parameters:
        """Bring the view closer to the server's model by one frame.

        Args:
            moved: The server's model.
            fine: Where the codec drops most of a difference, use :data:`FINE` instead.

        Returns:
            The model to go on with. What the frame dropped is left in it for the next ones, but
            less of it each round: much of it is rounding noise of the uplink that is not worth its
            bytes, and a view that lags far behind sets off oscillations, because clients then
            answer to a model that is no more.
        """
        difference = {name: _worth_sending(t - self.view[name]) for name, t in moved.items()}
        if not any(tensor.any() for tensor in difference.values()):
            return moved
        lossy = self._codec.family == "biased"
        codec = parse_codec(FINE) if fine and lossy else self._coarser()
        frame, _ = encode_frame(
            codec, self.layout, difference, base=self.version, version=self.version + 1
        )
        for name, step in decode_frame(frame, self._limits).named(self.layout).items():
            self.view[name] = snap(self.view[name] + snap(step))
        self._append(frame)
        dropped = {name: _worth_sending(t - self.view[name]) for name, t in moved.items()}
        return {name: tensor - _FORGOTTEN * dropped[name] for name, tensor in moved.items()}

    def prune(self, kept: Kept) -> None:
        """Go on with the entries that stay, in a new version of the model.

        Args:
            kept: For every tensor of the model.
        """
        if self._pruning is not None:
            self._frames.clear()  # cuts are not put together: only the last version is brought on
        pruning = _Pruning(self.version + 1, kept, self.layout)
        cut = pruning.cut(self.version)
        self._decoded = {}
        self.view = take(self.view, kept)
        self.layout = Layout.of(self.view)
        self._pruning = pruning
        self._append(cut)

    def _append(self, part: bytes) -> None:
        """Note what leads to a new version, once the view is at it."""
        self.version += 1
        if not self._sums_are_exact():
            self._exact_since = self.version + 1
        self._full = None
        self._frames.append(part)
        while (
            sum(map(len, self._frames)) > 2 * self._limits.entries
            or len(self._frames) >= MOST_PARTS
        ):
            self._decoded.pop(self.version - len(self._frames) + 1, None)
            self._frames.popleft()

    def _coarser(self) -> Codec:
        """Return the codec, with the share of its first link divided as the budget demands."""
        first, *others = self._codec.calls
        if self.budget.factor == 1 or not first.arguments:
            return self._codec
        share = fraction(first.arguments[0], first.name) / self.budget.factor
        return parse_codec(" | ".join([f"{first.name}({share:.3g})", *map(str, others)]))

    def full(self) -> bytes:
        """Return the frame that holds the whole current view."""
        if self._full is None:
            self._full, _ = encode_frame(
                self._exact, self.layout, self.view, base=None, version=self.version
            )
        return self._full

    def bundles_for(self, nodes: Iterable[int]) -> dict[int, tuple[int, bytes]]:
        """Choose what to send to each of some clients.

        Returns:
            By client: the version that it must hold (-1: any), and the frames to send it.
        """
        held = {node: self._held.get(node, -1) for node in nodes}
        starts = {version for version in held.values() if version >= 0}
        if self._origin is not None and -1 in held.values():
            starts.add(self._first)
        ways = self._ways_from(starts)
        shortest = {version: self._shortest(version, ways) for version in {*held.values()}}
        return {node: shortest[version] for node, version in held.items()}

    def _shortest(self, held: int, ways: dict[int, bytes]) -> tuple[int, bytes]:
        choices = []
        if held in ways:
            choices.append((held, ways[held]))
        elif self._origin is not None and self._first in ways:
            choices.append((-1, self._origin + ways[self._first]))
        # A full model takes more than 1 B a parameter; only beyond that is it worth encoding.
        entries = sum(tensor.size for tensor in self.view.values())
        if not choices or len(choices[0][1]) > entries:
            choices.append((-1, self.full()))
        return min(choices, key=lambda choice: len(choice[1]))

    def _ways_from(self, starts: Iterable[int]) -> dict[int, bytes]:
        """Return the frames that lead on from each version, as far as old frames are kept.

        Frames are decoded from the newest backwards into one sum, so that the memory is that of
        one model, however many versions clients hold.
        """
        ways: dict[int, bytes] = {}
        oldest = self.version - len(self._frames)
        total: dict[str, FloatArray] = {name: np.zeros_like(t) for name, t in self.view.items()}
        summed = self.version
        for start in sorted((s for s in starts if oldest <= s <= self.version), reverse=True):
            kept = list(self._frames)[start - oldest :]
            if len(kept) < MOST_MODELS:  # before them, a newcomer is sent a seed
                ways[start] = b"".join(kept)
            if len(kept) > 1 and start >= self._exact_since:
                for version in range(summed, start, -1):
                    for name, step in self._steps(version).items():
                        total[name] += step
                summed = start
                total_way = self._sum(total, start)
                ways[start] = min(ways.get(start, total_way), total_way, key=len)
        return ways

    def _sum(self, total: Parameters, start: int) -> bytes:
        """Return all that changed since a version as one frame, behind a cut where it needs one."""
        cut = b""
        if self._pruning is not None and start < self._pruning.version:
            cut, start = self._pruning.cut(start), self._pruning.version
        frame, _ = encode_frame(self._exact, self.layout, total, base=start, version=self.version)
        return cut + frame

    def _sums_are_exact(self) -> bool:
        """Half of the bound, because the difference of two views may be twice as large as both."""
        return all((np.abs(t) < EXACT_BELOW / 2).all() for t in self.view.values())

    def _steps(self, version: int) -> Parameters:
        """Return what led to a version, on the grid, as clients add it; of what is left now."""
        if version not in self._decoded:
            steps = self._decode(version)
            if len(self._frames) * self._limits.entries > _AT_HAND:
                return steps
            self._decoded[version] = steps
        return self._decoded[version]

    def _decode(self, version: int) -> Parameters:
        pruning = self._pruning
        if pruning is not None and version == pruning.version:
            return {}
        frame = decode_frame(self._frames[version - self.version - 1], self._limits)
        if pruning is None or version > pruning.version:
            steps = frame.named(self.layout)
        else:
            steps = take(frame.named(pruning.layout), pruning.kept)
        return {name: snap(step) for name, step in steps.items()}

    def confirm(self, node: int, version: int) -> None:
        """Note which version a client says that it holds."""
        self._held[node] = version

    def state(self) -> dict[str, Any]:
        """Return the view, its versions and who holds which, for a checkpoint."""
        pruning = self._pruning
        return {
            "version": self.version,
            "first": self._first,
            "factor": self.budget.factor,
            "view": self.view,
            "limits": astuple(self._limits),
            "frames": b"".join(self._frames),
            "lengths": list(map(len, self._frames)),
            "held": by_client(self._held, "version"),
            "exact_since": self._exact_since,
            "origin": self._origin,
            "pruning": None if pruning is None else pruning.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what :meth:`state` returned."""
        self.version, self._first = state["version"], state["first"]
        self.budget.factor = state["factor"]
        self.view = state["view"]
        self.layout = Layout.of(self.view)
        self._limits = Limits(*state["limits"])
        ends = list(accumulate(state["lengths"], initial=0))
        self._frames = deque(state["frames"][start:end] for start, end in pairwise(ends))
        self._full, self._decoded = None, {}
        self._held = dict(by_row(state["held"]))
        self._exact_since, self._origin = state["exact_since"], state["origin"]
        before = state["pruning"]
        self._pruning = None if before is None else _Pruning.restored(before)


def _worth_sending(difference: FloatArray) -> FloatArray:
    """Zero what the grid cannot hold, so that a tensor nobody trains keeps its bits."""
    return np.where(np.abs(difference) > _HALF_A_STEP, difference, np.float32(0))
