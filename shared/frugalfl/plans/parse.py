"""Every plan that a refresh text may name. A new one is one line here."""

from __future__ import annotations

from frugalfl.calls import Call, parse_call, unknown
from frugalfl.errors import UsageError
from frugalfl.plans import alternating, auto, client, fixed, largest_change, subspace
from frugalfl.plans.refresh_plan import Builder, RefreshPlan

PLANS: dict[str, Builder] = {
    "alternate": alternating.build_alternate,
    "auto": auto.build_auto,
    "by-energy": client.build_by_energy,
    "by-link": client.build_by_link,
    "cyclic": alternating.build_cyclic,
    "frozen": fixed.build_frozen,
    "full": fixed.build_full,
    "largest-change": largest_change.build,
    "last": fixed.build_last,
    "random": alternating.build_random,
    "subspace": subspace.build_subspace,
}


def parse_plan(text: str) -> RefreshPlan:
    """Read a refresh plan.

    Raises:
        UsageError: The text is not a plan.
    """
    return _build(parse_call(text))


def _build_part(call: Call) -> RefreshPlan:
    """Read a plan within another one."""
    if call.name == "subspace":
        raise UsageError(f"{call} changes what travels in all rounds; it is no part of other plans")
    if call.name == "auto":
        raise UsageError("auto chooses the plan of a whole run; it is no part of other plans")
    return _build(call)


def _build(call: Call) -> RefreshPlan:
    if call.name not in PLANS:
        raise unknown("refresh plan", call.name, PLANS)
    return PLANS[call.name](call, _build_part)
