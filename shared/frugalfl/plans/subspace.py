"""``subspace(512, fold 10)``: training moves a few hundred coordinates that all weights follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from frugalfl.blocks import Layout, Parameters
from frugalfl.calls import Call, arity, unknown, whole
from frugalfl.errors import UsageError
from frugalfl.plans.fixed import Frozen, Full, Last
from frugalfl.plans.refresh_plan import PlanContext, RefreshPlan
from frugalfl.subspace import Subspace

_EVERY = 10


@dataclass(frozen=True)
class InSubspace(RefreshPlan):
    """All coordinates, in every round (:mod:`frugalfl.subspace`).

    Attributes:
        dimension: How many coordinates.
        every: Rounds between two folds.
        within: Which blocks of the model follow coordinates, in every round the same.
    """

    dimension: int
    every: int = _EVERY
    within: RefreshPlan = field(default_factory=Full)

    def check(self, layout: Layout) -> None:
        """Take what travels: the coordinates, and perhaps running statistics."""

    def choose(self, context: PlanContext) -> tuple[int, ...]:
        """Return all of it."""
        return context.layout.everything

    def blocks(self, layout: Layout) -> tuple[int, ...]:
        """Return the numbers of the blocks that follow coordinates.

        Args:
            layout: Of the whole model, without private blocks.

        Raises:
            UsageError: The plan within cannot be used with this model.
        """
        self.within.check(layout)
        return self.within.choose(PlanContext(1, layout))

    def of_model(self, parameters: Parameters, seed: int, fold: int) -> Subspace:
        """Return a subspace of a model.

        Args:
            parameters: The whole model, without private blocks, pruned or not.
            seed: Of the run.
            fold: Number of the subspace, from 0.

        Raises:
            UsageError: The plan within cannot be used with this model.
        """
        layout = Layout.of(parameters)
        names = layout.names(self.blocks(layout))
        subspace = Subspace(
            {name: parameters[name].shape for name in names}, self.dimension, seed, fold
        )
        if not subspace.counts:
            raise UsageError(
                f"subspace({self.dimension}): there is no weight in the blocks that are to follow "
                "coordinates; name others"
            )
        return subspace


def build_subspace(call: Call, build: Callable[[Call], RefreshPlan]) -> InSubspace:
    """Read ``subspace(512)``, ``subspace(512, fold 20)`` or ``subspace(512, fold 20, last(2))``."""
    arity(call, 1, 3)
    dimension, *others = call.arguments
    every: int | None = None
    within: RefreshPlan | None = None
    for argument in others:
        word, _, number = argument.name.partition(" ")
        if word == "fold" and every is not None:
            raise UsageError(f"{call} says twice how often to fold")
        if word == "fold":
            every = whole(Call(number), "fold")
        elif within is None:
            within = build(argument)
        else:
            raise unknown("option of subspace", str(argument), ["fold"])
    if within is not None and not isinstance(within, Full | Last | Frozen):
        raise UsageError(
            "the blocks that follow a subspace are the same in every round: full, last(n) or "
            f"frozen(pattern), not {others[-1]}"
        )
    return InSubspace(whole(dimension, "subspace"), every or _EVERY, within or Full())
