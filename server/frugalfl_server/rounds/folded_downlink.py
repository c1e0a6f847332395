"""What goes down to each client in a run that trains a subspace: coordinates, and folds.

Clients hold the weights of the last fold, and the coordinates that have been trained since; both
ends draw the rest from the run's seed. Coordinates are multiples of one power of two, the same
throughout a fold, so that all of them are a few hundred small integers. A client that missed
rounds is sent whichever is shortest: the frames that it missed, their sum, or the coordinates as
they are. Of each fold that it missed it is sent the coordinates that were folded. One that has
nothing is sent the model's seed, or the model, and all folds; if that is longer than a model as it
is now, that model.

Old folds are kept as long as a client that missed all of them needs at most 2 B a parameter, and
is led through at most :data:`~frugalfl.subspace.MOST_FOLDS`. Of each, only its end is kept: one who
left in the middle is sent that. Frames of single rounds, and what sums are made of, are kept of the
newest folds, and of a long one for its newest rounds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from math import ldexp, log2
from typing import Any

import numpy as np

from frugalfl.blocks import (
    LATTICE_BITS,
    FloatArray,
    Layout,
    Parameters,
    is_statistic,
    snap,
    within_bounds,
)
from frugalfl.codec import Fold, encode_cut, encode_fold, encode_frame, parse_codec
from frugalfl.errors import TaskError
from frugalfl.kept import Kept, take
from frugalfl.plans import InSubspace
from frugalfl.subspace import MOST_FOLDS, Subspace, add
from frugalfl_server.rounds.byte_budget import Budget
from frugalfl_server.rounds.downlink import EXACT, SEEDED
from frugalfl_server.run.checkpoint import by_client, by_row

#: The step of coordinates, as a multiple of the root mean square of what a fold's first round
#: moved; and that of running statistics.
_STEP, _STATISTICS_STEP = 2.0, 0.3
#: Without loss, because the view lives on the lattice.
_COORDINATES = "dyadic | rans"
#: Statistics have a scale of their own.
_AND_STATISTICS = f"statistics({_COORDINATES}, {_COORDINATES})"
#: Folds of which single rounds are kept, and rounds of each, to send what was missed in them.
_REMEMBERED, _ROUNDS = 3, 64


@dataclass
class _Chapter:
    """What led from the beginning of one subspace to its fold.

    Attributes:
        opening: Bytes that lead into it: a fold, behind a cut if the model was pruned before it.
        version: That it begins with, all coordinates zero.
        last: That it ends with.
        frames: The newest ones, each from a version to the next; the last leads to the end.
        states: Coordinates after each of these.
        end: All coordinates at the end, as one frame; made when it is needed.
    """

    opening: bytes
    version: int
    last: int
    frames: list[bytes] = field(default_factory=list)
    states: list[Parameters] = field(default_factory=list)
    end: bytes = b""

    @property
    def length(self) -> int:
        """Bytes that a client needs of it who missed all."""
        return len(self.opening) + len(self.end)

    def append(self, frame: bytes, state: Parameters) -> None:
        """Note a round: the frame to its version, and the coordinates of that."""
        self.last += 1
        self.frames.append(frame)
        self.states.append(state)
        self.end = b""
        self.forget_rounds(_ROUNDS)

    def forget_rounds(self, kept: int) -> None:
        """Forget all rounds but the newest."""
        for rounds in (self.frames, self.states):
            del rounds[: max(len(rounds) - kept, 0)]


class FoldedDownlink:
    """The view in a subspace, its versions, and who holds which.

    As with :class:`~frugalfl_server.rounds.downlink.Downlink`, the bits of view, frames and
    versions have to agree after each step, so one class keeps them, with more than twelve methods.
    """

    def __init__(
        self,
        model: Parameters,
        plan: InSubspace,
        run_seed: int,
        version: int = 0,
        seed: int | None = None,
        constants: frozenset[str] = frozenset(),
    ) -> None:
        """Begin with a model that nobody holds.

        Args:
            model: The model; clients will see it on the lattice.
            plan: Says how many coordinates there are, and how often they are folded.
            run_seed: The run's; signs are drawn from it.
            version: Number of this first version.
            seed: The seed that the model was drawn from, if it was.
            constants: Tensors that no training moves. Rounding with a dither would: it brings
                no zero back as a zero.
        """
        self._constants = constants
        self.budget = Budget(0, coarsest=1.0)
        self.codec = _COORDINATES
        self._plan = plan
        self._seed = run_seed
        self.base = {name: snap(tensor) for name, tensor in model.items()}
        self._origin, _ = encode_frame(
            parse_codec(EXACT if seed is None else SEEDED), Layout.of(self.base),
            self.base if seed is None else model, base=None, version=version, seed=seed or 0,
        )  # fmt: skip
        self.version = version
        self._chapters: list[_Chapter] = []
        self._forgotten = False
        self._number, self._rounds = 0, 0
        self._steps: dict[str, float] = {}
        self.view: Parameters = {}
        self._full = b""  # the weights of the newest fold and that fold, once somebody needs them
        self._held: dict[int, int] = {}
        self._open(0)

    @property
    def oldest_version(self) -> int:
        """The version that the newest subspace begins with; older ones are of another."""
        return self._chapters[-1].version

    @property
    def layout(self) -> Layout:
        """Of what travels."""
        return Layout.of(self.view)

    @property
    def coordinates(self) -> tuple[tuple[str, int], ...]:
        """How many coordinates each trained tensor of the model follows."""
        return tuple(self._space.counts.items())

    @property
    def spread(self) -> float:
        """The root of weights per coordinate."""
        return self._space.spread

    def trained(self, planned: Iterable[int]) -> list[str]:
        """Return the names of all tensors of the subspace, in the order of the model."""
        return list(self._space.shapes)

    def moved(self, model: Parameters) -> Parameters:
        """Return the coordinates that come nearest to a model."""
        changes = {name: model[name] - self.base[name] for name in self._space.shapes}
        return self._space.reduce(changes)

    def whole(self, moved: Parameters) -> Parameters:
        """Return the model that coordinates stand for."""
        return add(self.base, self._space.expand(self._still(moved)))

    def advance(self, moved: Parameters) -> Parameters:
        """Bring the view to the coordinates, and fold if it is time.

        Args:
            moved: The coordinates, as the last round has left them.

        Returns:
            The coordinates to go on with: these, or after a fold zeros.
        """
        moved = self._still(moved)
        self._follow(moved)
        self._rounds += 1
        if self._rounds <= self._plan.every:
            return moved
        self._fold(self.whole(self.view))
        self._rounds = 1
        return self._space.zeros()

    def come_to(self, model: Parameters) -> None:
        """Bring the view to a model that is no round's."""
        self._follow(self.moved(model))

    def prune(self, kept: Kept) -> None:
        """Fold, and go on with the entries that stay.

        Args:
            kept: For every tensor of the model.
        """
        before = self.whole(self.view)
        cut = encode_cut(kept, Layout.of(before), base=self.version, version=self.version + 1)
        self.version += 1
        self._fold(take(before, kept), cut)

    def _still(self, moved: Parameters) -> Parameters:
        return self._space.still(moved, self._constants) if self._constants else moved

    def _follow(self, model: Parameters) -> None:
        """Bring the view to the multiples nearest to some coordinates, by one frame.

        Raises:
            TaskError: They are beyond what a frame holds.
        """
        if not within_bounds(model.values()):
            raise TaskError(
                "a coordinate is NaN or beyond ±65536; training diverged: lower the learning rate"
            )
        self._choose_steps(model)
        target = {name: self._rounded(name, tensor) for name, tensor in model.items()}
        difference = {name: target[name] - self.view[name] for name in target}
        if not any(tensor.any() for tensor in difference.values()):
            return
        frame = self._frame(difference, self.version, self.version + 1)
        self.version += 1
        self.view = target
        self._chapters[-1].append(frame, target)

    def _choose_steps(self, model: Parameters) -> None:
        """Choose the steps, once there is more to choose them by than the lattice has left."""
        for name, tensor in model.items():
            finest = ldexp(1, -LATTICE_BITS) if is_statistic(name) else self._space.finest
            size = _root_mean_square(tensor)
            if name not in self._steps and size > finest:
                share = _STATISTICS_STEP if is_statistic(name) else _STEP
                self._steps[name] = max(ldexp(1.0, round(log2(share * size))), finest)

    def _rounded(self, name: str, tensor: FloatArray) -> FloatArray:
        step = np.float32(self._steps.get(name, 1.0))
        rounded: FloatArray = np.rint(tensor / step) * step
        return rounded

    def _fold(self, weights: Parameters, cut: bytes = b"") -> None:
        """Begin the next subspace, with weights that the view has been added to."""
        self.base = {name: snap(tensor) for name, tensor in weights.items()}
        self._end_of(self._chapters[-1])
        self._open(self._number + 1, cut)
        for chapter in self._chapters[:-_REMEMBERED]:
            chapter.forget_rounds(0)
        while len(self._chapters) > 1 and self._is_too_much():
            del self._chapters[0]
            self._forgotten = True

    def _is_too_much(self) -> bool:
        """Say whether all chapters together are more than a client should be led through."""
        entries = sum(tensor.size for tensor in self.base.values())
        long = sum(one.length for one in self._chapters) > 2 * entries
        return long or len(self._chapters) > MOST_FOLDS

    def _open(self, number: int, cut: bytes = b"") -> None:
        self._number, self._steps, self._rounds, self._full = number, {}, 0, b""
        opening = cut + encode_fold(Fold(self.version, self.version + 1, number))
        self.version += 1
        self._space: Subspace = self._plan.of_model(self.base, self._seed, number)
        self.view = self._space.zeros()
        self._chapters.append(_Chapter(opening, self.version, self.version))

    def _frame(self, values: Parameters, base: int, version: int) -> bytes:
        codec = _AND_STATISTICS if any(map(is_statistic, values)) else _COORDINATES
        frame, _ = encode_frame(
            parse_codec(codec), Layout.of(values), values, base=base, version=version
        )
        return frame

    def _end_of(self, chapter: _Chapter) -> bytes:
        """Return all coordinates at the end of a chapter as one frame; empty: they are zero."""
        if not chapter.end and chapter.states:
            state = chapter.states[-1]
            chapter.end = self._frame(state, chapter.version, chapter.last)
        return chapter.end

    def bundles_for(self, nodes: Iterable[int]) -> dict[int, tuple[int, bytes]]:
        """Choose what to send to each of some clients.

        Returns:
            By client: the version that it must hold (-1: any), and the frames to send it.
        """
        held = {node: self._held.get(node, -1) for node in nodes}
        ways = {version: self._way_from(version) for version in set(held.values())}
        return {node: ways[version] for node, version in held.items()}

    def _way_from(self, version: int) -> tuple[int, bytes]:
        for place, chapter in enumerate(self._chapters):
            if chapter.version <= version <= chapter.last:
                rest = self._rest_of(chapter, version) + self._chapters_after(place)
                # A model takes more than 1 B a parameter; only beyond that is it worth encoding.
                if len(rest) <= sum(tensor.size for tensor in self.base.values()):
                    return version, rest
                return min((version, rest), self._anew(), key=lambda way: len(way[1]))
        return self._anew()

    def _anew(self) -> tuple[int, bytes]:
        """Return the way of a client that holds nothing."""
        if not self._forgotten:
            whole_way = self._origin + self._chapters_after(-1)
            # A model takes more than 1 B a parameter; only beyond that is it worth encoding.
            if len(whole_way) <= sum(tensor.size for tensor in self.base.values()):
                return -1, whole_way
            return -1, min(whole_way, self._model_as_it_is(), key=len)
        return -1, self._model_as_it_is()

    def _model_as_it_is(self) -> bytes:
        """Return the weights of the newest fold, that fold, and the coordinates since."""
        newest = self._chapters[-1]
        if not self._full:
            full, _ = encode_frame(
                parse_codec(EXACT), Layout.of(self.base), self.base, base=None,
                version=newest.version - 1,
            )  # fmt: skip
            self._full = full + encode_fold(Fold(newest.version - 1, newest.version, self._number))
        return self._full + self._end_of(newest)

    def _chapters_after(self, place: int) -> bytes:
        return b"".join(
            chapter.opening + self._end_of(chapter) for chapter in self._chapters[place + 1 :]
        )

    def _rest_of(self, chapter: _Chapter, version: int) -> bytes:
        """Return what leads from a version of a chapter to its end, in fewest bytes."""
        missed = chapter.last - version
        if not missed:
            return b""
        ways = [b"".join(chapter.frames[-missed:])] if missed <= len(chapter.frames) else []
        if missed != 1 or not ways:
            ways.append(self._end_of(chapter))
        if 1 < missed < len(chapter.states):
            before, after = chapter.states[-missed - 1], chapter.states[-1]
            total = {name: after[name] - before[name] for name in after}
            ways.append(self._frame(total, version, chapter.last))
        return min(ways, key=len)

    def confirm(self, node: int, version: int) -> None:
        """Note which version a client says that it holds."""
        self._held[node] = version

    def state(self) -> dict[str, Any]:
        """Return the view, its versions and who holds which, for a checkpoint."""
        return {
            "version": self.version,
            "base": self.base,
            "origin": self._origin,
            "chapters": [astuple(chapter) for chapter in self._chapters],
            "forgotten": self._forgotten,
            "number": self._number,
            "rounds": self._rounds,
            "steps": self._steps,
            "view": self.view,
            "held": by_client(self._held, "version"),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what :meth:`state` returned."""
        self.version, self.base, self._origin = state["version"], state["base"], state["origin"]
        self._chapters = [
            _Chapter(opening, version, last, list(frames), list(states), end)
            for opening, version, last, frames, states, end in state["chapters"]
        ]
        self._forgotten, self._number = state["forgotten"], state["number"]
        self._rounds, self._steps, self.view = state["rounds"], state["steps"], state["view"]
        self._held = dict(by_row(state["held"]))
        self._space = self._plan.of_model(self.base, self._seed, self._number)


def _root_mean_square(tensor: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(tensor, dtype=np.float64)))) if tensor.size else 0.0
