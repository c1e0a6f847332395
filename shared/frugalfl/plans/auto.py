"""``auto``: the server chooses between all weights and a subspace, before the first round.

A subspace saves bytes on the way down, to clients that missed rounds; it takes more rounds and ends
a little lower. So it is chosen only inside the range in which that was measured, if the whole run
should take half as many bytes at most, first models among them; ``full`` everywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from frugalfl.calls import Call, arity
from frugalfl.plans.refresh_plan import PlanContext, RefreshPlan
from frugalfl.plans.round_bytes import (
    first_model_each_round_b,
    full_round_b,
    subspace_round_b,
    update_b,
)


class _Measured(NamedTuple):
    """A subspace that was measured on digits: its coordinates, and rounds between folds.

    ``points`` is how much lower than ``full`` it ended, in points of accuracy.
    """

    dimension: int
    every: int
    points: float

    @property
    def plan(self) -> str:
        return f"subspace({self.dimension}, fold {self.every})"

    @property
    def update_b(self) -> int:
        """Bytes of an update."""
        return ceil(update_b(self.dimension))


#: The most accurate first.
_SUBSPACES = _Measured(1024, 5, 0.6), _Measured(512, 10, 1.4)
#: Weights of the models in question: some way to either side of the one that was measured.
_FEWEST_WEIGHTS, _MOST_WEIGHTS = 10_000, 1_000_000
#: Training in a subspace takes more rounds to the same accuracy; fewer than these end too early.
_FEWEST_ROUNDS = 60
#: So many times fewer bytes a run must take in a subspace, as estimated: its rounds bring less.
_LEAST_SAVED = 2.0
#: Clients that a round must ask, at least: the mean of few updates is too rough for coordinates
#: that hundreds of weights follow. Digits with 3 of 40 a round, subspace(1024, fold 5), step sizes
#: from 0.07 to 0.14: 83 to 96 % after 160 rounds, ``full`` 97 %; with 5 of 20 twice the rounds.
_FEWEST_ASKED = 8
#: Share of the clients that must miss a round, at least, so that the way down is what costs.
_LEAST_MISSING = 0.5
#: Running statistics for each coordinate, at most: they travel beside them, a number each.
_MOST_STATISTICS = 0.25


@dataclass(frozen=True)
class Auto(RefreshPlan):
    """All blocks, as long as nobody has chosen: in a ServerApp of one's own, nobody does."""

    def choose(self, context: PlanContext) -> tuple[int, ...]:
        """Return all blocks."""
        return context.layout.everything


@dataclass(frozen=True)
class Situation:
    """What a plan is chosen by.

    Attributes:
        weights: Numbers that train and travel, without private blocks.
        statistics: Entries of running statistics beside them.
        clients: How many there are.
        asked: How many of them a round asks.
        rounds: Before pruning.
        uplink_budget: Most bytes of an update (B); 0: any.
        first_b: Bytes of the model that a client is sent before its first round (B); 0: a seed.
        against: What else speaks against a subspace; empty: nothing.
    """

    weights: int
    statistics: int
    clients: int
    asked: int
    rounds: int
    uplink_budget: int = 0
    first_b: float = 0.0
    against: str = ""


@dataclass(frozen=True)
class Choice:
    """A plan, and why it is this one."""

    plan: str
    why: str

    def __str__(self) -> str:
        """Return what a person reads behind ``refresh =``."""
        return f"auto: {self.plan}, since {self.why}"


def choose_plan(situation: Situation) -> Choice:
    """Choose ``full`` or a subspace; the same situation, the same plan.

    The rule rests on whole runs of the digits CNN (38,282 weights, 40 clients, 10 a round, 80
    rounds), all bytes both ways with missed rounds and folds charged:

    - ``full``: 1.4 MB, 97.5 % in the end, 320 KiB to 95 %;
    - ``subspace(1024, fold 5)``: 464 kB, 96.9 %, 144 KiB to 95 %;
    - ``subspace(512)``: 228 kB, 96.1 %, 101 KiB to 95 %.

    (Means of seeds 5 to 9; ``benchmarks/results/subspaces.json``.) On a task that is slow to learn
    (vibration signals, 19,462 weights) the larger one ended where ``full`` did and the smaller one
    20 points lower. The larger one is chosen, the smaller
    one only if an update is to be shorter than the larger one's. Without missed rounds, or in a
    small model, there is little to save (:mod:`~frugalfl.plans.round_bytes`); nor if first models,
    which either plan sends, are most of a run's bytes; and in a few rounds a subspace does not
    reach the accuracy.
    """
    why_not = next(_reasons_against(situation), "")
    if why_not:
        return Choice("full", why_not)
    found = _largest_within(situation.uplink_budget)
    if found is None:
        return Choice(
            "full",
            f"uplink-budget is {situation.uplink_budget} B, and an update of the smallest subspace "
            f"that was measured takes {_SUBSPACES[-1].update_b} B",
        )
    if too_little := _saves_too_little(situation, found):
        return Choice("full", too_little)
    missing = situation.clients - situation.asked
    estimate = _Estimate.of(situation, found)
    return Choice(
        found.plan,
        f"{missing} of {situation.clients} clients miss a round and {situation.rounds} rounds are "
        f"long enough for it: it should take {estimate.times_fewer:.1f} times fewer bytes than "
        f"full{estimate.first_included}, and on digits it ended {found.points:g} points lower; set "
        "refresh = full for all weights",
    )


def _reasons_against(situation: Situation) -> Iterator[str]:
    """Yield what is outside the range in which subspaces were measured."""
    if situation.against:
        yield situation.against
    if situation.rounds < _FEWEST_ROUNDS:
        yield f"{situation.rounds} rounds are few: a subspace takes at least {_FEWEST_ROUNDS}"
    if situation.asked < _FEWEST_ASKED:
        yield (
            f"{situation.asked} clients train in each round, and a subspace takes at least "
            f"{_FEWEST_ASKED}: the mean of few updates is too rough for it"
        )
    if situation.clients - situation.asked < _LEAST_MISSING * situation.clients:
        yield (
            f"{situation.asked} of {situation.clients} clients train in each round, and a subspace "
            "saves bytes where at least half of them miss it"
        )
    if not _FEWEST_WEIGHTS <= situation.weights <= _MOST_WEIGHTS:
        yield (
            f"the model has {situation.weights:,} weights that train, and a subspace is for "
            f"{_FEWEST_WEIGHTS:,} to {_MOST_WEIGHTS:,}"
        )
    if situation.statistics > _MOST_STATISTICS * _SUBSPACES[-1].dimension:
        yield (
            f"{situation.statistics:,} running statistics would travel beside a subspace's "
            "coordinates, one number each"
        )


@dataclass(frozen=True)
class _Estimate:
    """What a client's round takes by either plan, with its part of the first model (B)."""

    full: float
    subspace: float
    first: float

    @classmethod
    def of(cls, situation: Situation, found: _Measured) -> _Estimate:
        """Estimate them."""
        clients, asked, budget = situation.clients, situation.asked, situation.uplink_budget
        first = first_model_each_round_b(situation.first_b, clients, asked, situation.rounds)
        return cls(
            full_round_b(situation.weights, clients, asked, budget) + first,
            subspace_round_b(found.dimension, found.every, clients, asked) + first,
            first,
        )

    @property
    def times_fewer(self) -> float:
        """How many times fewer bytes a subspace takes."""
        return self.full / self.subspace

    @property
    def first_included(self) -> str:
        """What to say of the first model that is in both sums; empty: a seed stands for it."""
        return f", each with {self.first:,.0f} for the first model" if self.first else ""


def _saves_too_little(situation: Situation, found: _Measured) -> str:
    """Say so, if a subspace saves too few bytes for what it costs; empty: it does not."""
    estimate = _Estimate.of(situation, found)
    if estimate.times_fewer >= _LEAST_SAVED:
        return ""
    return (
        f"a client's round should take some {estimate.full:,.0f} B, and in {found.plan} "
        f"{estimate.subspace:,.0f}{estimate.first_included}: a subspace is chosen if it takes half "
        "as many at most"
    )


def _largest_within(budget_b: int) -> _Measured | None:
    """Return the largest subspace whose updates are within a budget (B; 0: any)."""
    within = (one for one in _SUBSPACES if not budget_b or one.update_b <= budget_b)
    return next(within, None)


def build_auto(call: Call, _: Callable[[Call], RefreshPlan]) -> RefreshPlan:
    """Read ``auto``."""
    arity(call, 0)
    return Auto()
