"""Every plan that a refresh text may name. A new one is one line here."""

from __future__ import annotations

from frugalfl.calls import Call, parse_call, unknown
from frugalfl.plans import client, fixed, largest_change, round_robin
from frugalfl.plans.refresh_plan import Builder, Plan

PLANS: dict[str, Builder] = {
    "alternate": round_robin.build_alternate,
    "by-energy": client.build_by_energy,
    "by-link": client.build_by_link,
    "cyclic": round_robin.build_cyclic,
    "frozen": fixed.build_frozen,
    "full": fixed.build_full,
    "largest-change": largest_change.build,
    "last": fixed.build_last,
    "random": round_robin.build_random,
}


def parse_plan(text: str) -> Plan:
    """Read a refresh plan.

    Raises:
        UsageError: The text is not a plan.
    """
    return _build(parse_call(text))


def _build(call: Call) -> Plan:
    if call.name not in PLANS:
        raise unknown("refresh plan", call.name, PLANS)
    return PLANS[call.name](call, _build)
