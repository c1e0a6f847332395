"""Plans that differ between clients: ``by-link`` and ``by-energy``.

Both name the usual plan first, then exceptions in pairs. A client that has not answered yet is not
known, and gets the usual plan.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from frugalfl.calls import Call, arity
from frugalfl.errors import UsageError
from frugalfl.plans.refresh_plan import PlanContext, RefreshPlan

_UNITS = {"J": 1.0, "mJ": 1e-3, "kJ": 1e3}


@dataclass(frozen=True)
class ByLink(RefreshPlan):
    """A plan for each link that a device may declare, and one for all others."""

    usual: RefreshPlan
    exceptions: dict[str, RefreshPlan]

    @property
    def parts(self) -> tuple[RefreshPlan, ...]:
        """The usual plan, and all others."""
        return self.usual, *self.exceptions.values()

    def choose(self, context: PlanContext) -> tuple[int, ...]:
        """Return the blocks of the plan for the client's link."""
        return self.exceptions.get(context.link, self.usual).choose(context)


@dataclass(frozen=True)
class ByEnergy(RefreshPlan):
    """A cheaper plan for clients whose last round took more joules than a threshold (J)."""

    usual: RefreshPlan
    exceptions: dict[float, RefreshPlan]

    @property
    def parts(self) -> tuple[RefreshPlan, ...]:
        """The usual plan, and all others."""
        return self.usual, *self.exceptions.values()

    def choose(self, context: PlanContext) -> tuple[int, ...]:
        """Return the blocks of the plan for the highest threshold that was exceeded."""
        joules = 0.0 if context.joules is None else context.joules
        exceeded = max((limit for limit in self.exceptions if joules > limit), default=None)
        plan = self.usual if exceeded is None else self.exceptions[exceeded]
        return plan.choose(context)


def build_by_link(call: Call, build: Callable[[Call], RefreshPlan]) -> RefreshPlan:
    """Read ``by-link(usual, link, plan, link, plan, ...)``."""
    conditions, plans = _pairs(call, "by-link(full, lora, last(1))")
    for condition in conditions:
        if condition.arguments:
            raise UsageError(f"by-link takes the name of a link, not {str(condition)!r}: {call}")
    names = [condition.name for condition in conditions]
    return ByLink(build(call.arguments[0]), dict(zip(names, map(build, plans), strict=True)))


def build_by_energy(call: Call, build: Callable[[Call], RefreshPlan]) -> RefreshPlan:
    """Read ``by-energy(usual, 5 J, plan, ...)``."""
    conditions, plans = _pairs(call, "by-energy(full, 5 J, last(1))")
    limits = [_joules(condition) for condition in conditions]
    return ByEnergy(build(call.arguments[0]), dict(zip(limits, map(build, plans), strict=True)))


def _pairs(call: Call, example: str) -> tuple[tuple[Call, ...], tuple[Call, ...]]:
    arity(call, 3, 17)
    conditions, plans = call.arguments[1::2], call.arguments[2::2]
    if len(conditions) != len(plans):
        raise UsageError(f"{call.name} lacks the last plan: {call}; write {example}")
    if len({str(condition) for condition in conditions}) < len(conditions):
        raise UsageError(f"{call.name} has the same condition twice: {call}")
    return conditions, plans


def _joules(call: Call) -> float:
    number, _, unit = call.name.partition(" ")
    try:
        value = float(number) * _UNITS[unit]
    except (ValueError, KeyError):
        value = 0.0
    if not 0 < value < float("inf"):
        raise UsageError(f"by-energy takes joules such as 5 J or 200 mJ, not {str(call)!r}")
    return value
