"""Every set of blocks that a refresh plan can name, of all clients and rounds."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations
from math import factorial

from frugalfl.blocks import Layout
from frugalfl.errors import ExportError
from frugalfl.plans import PlanContext, RefreshPlan
from frugalfl.plans.alternating import Alternate
from frugalfl.plans.client import ByEnergy, ByLink
from frugalfl.plans.largest_change import LargestChange

#: Most blocks of which all orders are tried, for plans that follow what clients do.
_MOST_ORDERED = 7

Sets = frozenset[tuple[int, ...]]


def block_sets(plan: RefreshPlan, layout: Layout, seed: int, rounds: int) -> Sets:
    """Return the sets of blocks that a plan can choose.

    Args:
        plan: The plan.
        layout: The model's blocks.
        seed: The run's.
        rounds: How many there are.

    Raises:
        ExportError: They depend on the clients' updates, and the model has too many blocks to try
            all orders of them.
    """
    match plan:
        case ByLink(usual, exceptions):
            return _all([usual, *exceptions.values()], layout, seed, rounds)
        case ByEnergy(usual, exceptions):
            return _all([usual, *exceptions.values()], layout, seed, rounds)
        case Alternate(plans):
            return _all(plans, layout, seed, rounds)
        case LargestChange():
            return _by_change(plan, layout)
    contexts = [PlanContext(number, layout, seed) for number in range(1, rounds + 1)]
    return frozenset(plan.choose(context) for context in contexts)


def _all(plans: Iterable[RefreshPlan], layout: Layout, seed: int, rounds: int) -> Sets:
    return frozenset().union(*(block_sets(plan, layout, seed, rounds) for plan in plans))


def _by_change(plan: LargestChange, layout: Layout) -> Sets:
    """Return what is chosen in every order that the blocks' changes can have."""
    if len(layout) > _MOST_ORDERED:
        raise ExportError(
            f"largest-change follows the clients' updates: {len(layout)} blocks have "
            f"{factorial(len(layout)):,} orders, too many to compile a program for each choice; "
            "take another refresh plan, or let devices pin their programs"
        )
    return frozenset(
        plan.choose(PlanContext(1, layout, change=dict(zip(order, _FALLING, strict=False))))
        for order in permutations(layout.everything)
    )


_FALLING = [float(_MOST_ORDERED - place) for place in range(_MOST_ORDERED)]
