"""Refresh plans: which blocks a client trains and exchanges in a round (partial model refresh).

A plan is named by a short text, as a codec is: ``last(2)``, ``alternate(full, cyclic)``,
``by-link(full, lora, last(1))``. `docs/refresh.md` says what each one costs and saves.
"""

from frugalfl.plans.auto import Auto, Choice, Situation, choose_plan
from frugalfl.plans.parse import parse_plan
from frugalfl.plans.refresh_plan import PlanContext, RefreshPlan
from frugalfl.plans.round_bytes import downlink_share
from frugalfl.plans.subspace import InSubspace

__all__ = [
    "Auto", "Choice", "InSubspace", "PlanContext", "RefreshPlan", "Situation", "choose_plan",
    "downlink_share", "parse_plan",
]  # fmt: skip
