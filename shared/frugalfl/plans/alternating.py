"""Plans whose blocks change with the round: ``alternate``, ``cyclic``, ``random``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from frugalfl.blocks import Layout
from frugalfl.calls import Call, arity, fraction, whole
from frugalfl.plans.refresh_plan import PlanContext, RefreshPlan, check_count

#: Keeps the draws of ``random`` apart from everything else that is drawn from the run's seed.
_STREAM = 0x504C414E


@dataclass(frozen=True)
class Alternate(RefreshPlan):
    """One plan after the other, around; each counts its own rounds.

    Otherwise ``alternate(full, cyclic)`` would call ``cyclic`` in even rounds only, and half of
    the blocks of a model with an even number of them would never have their turn.
    """

    plans: tuple[RefreshPlan, ...]

    @property
    def parts(self) -> tuple[RefreshPlan, ...]:
        """All plans."""
        return self.plans

    def choose(self, context: PlanContext) -> tuple[int, ...]:
        """Return the blocks of the plan whose turn it is."""
        turn, place = divmod(context.round - 1, len(self.plans))
        return self.plans[place].choose(replace(context, round=turn + 1))


@dataclass(frozen=True)
class CyclicBlocks(RefreshPlan):
    """``count`` blocks a round, in the order of the model, around."""

    count: int

    def check(self, layout: Layout) -> None:
        """Refuse a model with fewer blocks.

        Raises:
            UsageError: The model has fewer blocks.
        """
        check_count("cyclic", self.count, layout)

    def choose(self, context: PlanContext) -> tuple[int, ...]:
        """Return the next blocks."""
        start = (context.round - 1) * self.count
        turn = range(start, start + self.count)
        return tuple(sorted(number % len(context.layout) for number in turn))


@dataclass(frozen=True)
class Random(RefreshPlan):
    """Each block with a probability, the same ones for all clients of a round."""

    probability: float

    def choose(self, context: PlanContext) -> tuple[int, ...]:
        """Draw the blocks; if none is drawn, the one that came nearest to it."""
        rng = np.random.default_rng((_STREAM, context.seed, context.round))
        draws = rng.random(len(context.layout))
        chosen = np.flatnonzero(draws < max(self.probability, np.nextafter(draws.min(), 1)))
        return tuple(int(number) for number in chosen)


def build_alternate(call: Call, build: Callable[[Call], RefreshPlan]) -> RefreshPlan:
    """Read ``alternate(plan, plan, ...)``."""
    arity(call, 2, 16)
    return Alternate(tuple(build(argument) for argument in call.arguments))


def build_cyclic(call: Call, _: Callable[[Call], RefreshPlan]) -> RefreshPlan:
    """Read ``cyclic`` or ``cyclic(n)``."""
    arity(call, 0, 1)
    return CyclicBlocks(whole(call.arguments[0], "cyclic") if call.arguments else 1)


def build_random(call: Call, _: Callable[[Call], RefreshPlan]) -> RefreshPlan:
    """Read ``random(p)``."""
    arity(call, 1)
    return Random(fraction(call.arguments[0], "random"))
