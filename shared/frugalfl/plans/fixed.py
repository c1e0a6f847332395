"""Plans that name the same blocks in every round: ``full``, ``last(n)``, ``frozen(pattern)``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from frugalfl.blocks import Layout
from frugalfl.calls import Call, arity, whole
from frugalfl.errors import UsageError
from frugalfl.plans.refresh_plan import PlanContext, RefreshPlan, check_count


class Full(RefreshPlan):
    """Every block."""

    def choose(self, context: PlanContext) -> tuple[int, ...]:
        """Return all blocks."""
        return context.layout.everything


@dataclass(frozen=True)
class Last(RefreshPlan):
    """The last ``count`` blocks only."""

    count: int

    def check(self, layout: Layout) -> None:
        """Refuse a model with fewer blocks.

        Raises:
            UsageError: The model has fewer blocks.
        """
        check_count("last", self.count, layout)

    def choose(self, context: PlanContext) -> tuple[int, ...]:
        """Return the last blocks."""
        return context.layout.everything[-self.count :]


@dataclass(frozen=True)
class Frozen(RefreshPlan):
    """All blocks but those whose names match one of the shell patterns."""

    patterns: tuple[str, ...]

    def check(self, layout: Layout) -> None:
        """Refuse patterns that match no block of this model, or all of them.

        Raises:
            UsageError: A pattern matches nothing, or nothing is left to train.
        """
        if len(layout.matching(self.patterns)) == len(layout):
            raise UsageError(
                f"frozen({', '.join(self.patterns)}) freezes every block; nothing is left to train"
            )

    def choose(self, context: PlanContext) -> tuple[int, ...]:
        """Return the blocks that are not frozen."""
        frozen = context.layout.matching(self.patterns)
        return tuple(number for number in context.layout.everything if number not in frozen)


def build_full(call: Call, _: Callable[[Call], RefreshPlan]) -> RefreshPlan:
    """Read ``full``."""
    arity(call, 0)
    return Full()


def build_last(call: Call, _: Callable[[Call], RefreshPlan]) -> RefreshPlan:
    """Read ``last(n)``."""
    arity(call, 1)
    return Last(whole(call.arguments[0], "last"))


def build_frozen(call: Call, _: Callable[[Call], RefreshPlan]) -> RefreshPlan:
    """Read ``frozen(pattern, ...)``."""
    arity(call, 1, 16)
    return Frozen(tuple(str(argument) for argument in call.arguments))
