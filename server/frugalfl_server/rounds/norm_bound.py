"""How far one client may pull the model: not much farther than its peers do.

A client decides itself what it sends. An update ten times as long as the others' would be most of
the mean. So the length (Euclidean norm) of an update is compared with what is usual, the median
over the last rounds, and one far beyond does not touch the model. Half of the clients would have to
lie to move a median. How many rows a client may claim is bounded apart (`row_claims.py`).

A norm is that of what was decoded, with the rounding noise in it, so that only like is compared
with like; it is taken from the sparse entries or the thin factors that are added anyway. Usual is
kept for each parameter block, because a refresh plan has clients send some of them only: an update
is compared with what is usual for its blocks together. Running statistics are compared apart from
weights, whose steps are a thousand times shorter.

Where nothing is known yet, in the first round, updates wait for the end of the round and are
compared with each other. So do those beyond the bound: if they are the majority, something has
changed for all (the step size, the task's data), and the round's own median is what is usual.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from frugalfl_server.rounds.norms import BlockKind, Norms

#: Rounds over which usual is the median.
_ROUNDS = 10
#: Fewer updates than this are no measure of what is usual.
_FEWEST = 3


@dataclass(frozen=True)
class Far:
    """An update beyond the bound, or one that there is nothing to compare with yet.

    Attributes:
        norms: Its squared norms.
        why: What is said of it if it does not count.
    """

    norms: Norms
    why: str


#: Looks at an update's norms; ``None``: it may touch the model.
Judge = Callable[[Norms], Far | None]


@dataclass
class _Usual:
    """Of one kind: the median norm of each round in which updates held it, and their number."""

    medians: deque[float] = field(default_factory=lambda: deque(maxlen=_ROUNDS))
    updates: int = 0


class NormBound:
    """What is usual in one phase of a run, and what is beyond."""

    def __init__(self, times: float) -> None:
        """Begin with nothing known.

        Args:
            times: How many times as long as usual an update may be; 0: no bound.
        """
        self._times = times
        self._usual: dict[BlockKind, _Usual] = {}
        #: Usual squared norms, as far as anybody has asked since they last changed.
        self._squares: dict[BlockKind, float | None] = {}
        self._round: list[Norms] = []

    @property
    def judge(self) -> Judge | None:
        """What looks at every update's norms; ``None``: nothing does, so that none are taken."""
        return self.check if self._times else None

    def check(self, norms: Norms) -> Far | None:
        """Let an update pass and note its squared norms; or say why it has to wait."""
        far = self._compare(norms, self._expected(norms)) if self._times else None
        if far is None:
            self._round.append(norms)
        return far

    def settle(self, far: Sequence[Far]) -> list[Far | None]:
        """Say at the end of a round's replies what becomes of those that had to wait.

        Args:
            far: All of them.

        Returns:
            For each ``None`` if it may touch the model after all, otherwise the reason.
        """
        by_peers = len(far) >= _FEWEST and len(far) > len(self._round)
        peers = _usual_of([*self._round, *(one.norms for one in far)]) if by_peers else {}
        verdicts: list[Far | None] = []
        for one in far:
            usual = (
                {kind: peers[kind] for kind in one.norms} if by_peers else self._expected(one.norms)
            )
            # Without usual norms there are too few updates to compare with.
            verdicts.append(None if usual is None else self._compare(one.norms, usual))
        self._round += [one.norms for one, why in zip(far, verdicts, strict=True) if why is None]
        return verdicts

    def end_round(self) -> None:
        """Make what touched the model in this round part of what is usual."""
        for kind in {kind for norms in self._round for kind in norms}:
            of_kind = [math.sqrt(norms[kind]) for norms in self._round if kind in norms]
            usual = self._usual.setdefault(kind, _Usual())
            usual.medians.append(_of_moved(of_kind))
            usual.updates += len(of_kind)
        self._round, self._squares = [], {}

    def state(self) -> dict[str, Any]:
        """Return what is known between rounds, for a checkpoint."""
        return {
            "usual": [
                [*kind, list(usual.medians), usual.updates] for kind, usual in self._usual.items()
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what :meth:`state` returned."""
        self._usual = {
            BlockKind(block, statistics): _Usual(deque(medians, maxlen=_ROUNDS), updates)
            for block, statistics, medians, updates in state["usual"]
        }
        self._squares = {}

    def _expected(self, norms: Norms) -> Norms | None:
        """Return the usual squared norms of the same kinds; ``None``: not all are known yet."""
        usual: dict[BlockKind, float] = {}
        for kind in norms:
            if kind not in self._squares:
                self._squares[kind] = self._square_of(kind)
            if (square := self._squares[kind]) is None:
                return None
            usual[kind] = square
        return usual

    def _square_of(self, kind: BlockKind) -> float | None:
        """Return the usual squared norm of one kind; ``None``: it is not known yet."""
        one = self._usual.get(kind)
        return None if one is None or one.updates < _FEWEST else _of_moved(one.medians) ** 2

    def _compare(self, norms: Norms, usual: Norms | None) -> Far | None:
        if usual is None:
            return Far(norms, "there is nothing to compare its update with yet")
        lengths, usual_lengths = [0.0, 0.0], [0.0, 0.0]
        for kind, one in norms.items():
            lengths[kind.statistics] += one
            usual_lengths[kind.statistics] += usual[kind]
        for length, expected in zip(lengths, usual_lengths, strict=True):
            if expected and length > self._times**2 * expected:
                return Far(
                    norms,
                    f"its update is {math.sqrt(length / expected):.3g} times as long as usual and "
                    f"does not count (norm-bound {self._times:g})",
                )
        return None


def _usual_of(updates: Sequence[Norms]) -> Norms:
    """Return the usual squared norm of each kind in these updates alone."""
    return {
        kind: _of_moved([math.sqrt(norms[kind]) for norms in updates if kind in norms]) ** 2
        for kind in {kind for norms in updates for kind in norms}
    }


def _of_moved(norms: Sequence[float] | deque[float]) -> float:
    """Return the median of those that are not 0: a coarse codec rounds small blocks to nothing."""
    return median([norm for norm in norms if norm] or [0.0])
