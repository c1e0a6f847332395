"""``largest-change(budget)``: the blocks that have moved the most for their bytes.

A change costs bytes by the number of parameters, so blocks are ordered by change a parameter, and
filled in while they fit (the greedy rule for knapsacks, Dantzig 1957). The change is squared and
relative to the block's own weights: a layer with many inputs has small weights and takes small
steps, and by absolute change it would hardly ever be chosen. A block that is left out does not
move, so its last known change is multiplied by the rounds that it has waited: every block comes
again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, prod

from frugalfl.calls import Call, arity, fraction
from frugalfl.plans.refresh_plan import PlanContext, RefreshPlan


@dataclass(frozen=True)
class LargestChange(RefreshPlan):
    """Blocks by their change, until a share of the parameters is used up.

    Any model will do: the first block is taken even if it alone exceeds the budget.
    """

    budget: float

    def choose(self, context: PlanContext) -> tuple[int, ...]:
        """Return the first block, and every further one that still fits the budget."""
        sizes = [sum(map(prod, block.shapes)) for block in context.layout.blocks]
        left = self.budget * sum(sizes)
        chosen: list[int] = []
        for number in sorted(
            context.layout.everything, key=lambda n: context.change.get(n, inf), reverse=True
        ):
            if not chosen or sizes[number] <= left:
                chosen.append(number)
                left -= sizes[number]
        return tuple(sorted(chosen))


def build(call: Call, _: Callable[[Call], RefreshPlan]) -> RefreshPlan:
    """Read ``largest-change(30%)``."""
    arity(call, 1)
    return LargestChange(fraction(call.arguments[0], "largest-change"))
