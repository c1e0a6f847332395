"""What a refresh plan is, and what it may look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from frugalfl.blocks import Layout
from frugalfl.calls import Call
from frugalfl.errors import UsageError


@dataclass(frozen=True)
class PlanContext:
    """What is known when the blocks of one client in one round are chosen.

    Attributes:
        round: From 1; a plan inside ``alternate`` counts its own rounds.
        layout: The model's blocks, as they travel.
        seed: The run's seed.
        change: By block number, how far the block is expected to have to move: its mean squared
            change in the round that trained it last, over its mean squared weight, times the
            rounds since then. A block that no round has changed yet is missing.
        link: The link that the client's device declares; empty: none, or not heard of yet.
        joules: What the client's last round took (J); ``None``: not known.
    """

    round: int
    layout: Layout
    seed: int = 0
    change: Mapping[int, float] = field(default_factory=dict)
    link: str = ""
    joules: float | None = None


class RefreshPlan(Protocol):
    """Chooses blocks. Same context, same blocks."""

    @property
    def parts(self) -> Iterable[RefreshPlan]:
        """The plans that this one is made of; most are made of none."""
        return ()

    def check(self, layout: Layout) -> None:
        """Refuse a model that the plan cannot be used with; called before the first round.

        Raises:
            UsageError: The plan asks for blocks that the model does not have, or leaves none.
        """
        for plan in self.parts:
            plan.check(layout)

    def choose(self, context: PlanContext) -> tuple[int, ...]:
        """Return the numbers of the planned blocks, ascending; at least one."""


def check_count(name: str, count: int, layout: Layout) -> None:
    """Refuse a plan of more blocks than a model has.

    Raises:
        UsageError: It has fewer.
    """
    if count > len(layout):
        raise UsageError(f"{name}({count}) asks for more than the model's {len(layout)} blocks")


#: Reads a plan; the second argument reads the plans inside it.
Builder = Callable[[Call, Callable[[Call], RefreshPlan]], RefreshPlan]
