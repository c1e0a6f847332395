"""Find the largest pruned model that a device has room for.

Every group of channels keeps the same share, rounded down to multiples of four. So there is a
finite line of models, each inside the one before, and what they cost falls along it: the first one
that fits is found by bisection. Each candidate is really converted, quantized and run.

One share for all groups is a choice: cutting whichever group saves most bytes for the least norm
of weights was tried beside it. It gained a third of a point and cost twice the operations
(docs/export.md has the figures).
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from frugalfl.errors import OverBudgetError
from frugalfl_server.export.budget_gates import budget_gates
from frugalfl_server.export.device_budget import DeviceBudget
from frugalfl_server.export.gates import reasons
from frugalfl_server.export.measure import DeviceCost, measure
from frugalfl_server.export.prune_channels import PruneReport, prune
from frugalfl_server.export.prune_cut import (
    ROUND_TO,
    Narrowed,
    channels_kept,
    ratio_that_keeps,
)
from frugalfl_server.export.prune_plan import NARROWEST, plan_pruning

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Fit:
    """The largest model that fits.

    Attributes:
        ratio: Share of channels to prune, for :func:`~frugalfl_server.export.prune_channels.prune`.
        report: What pruning at that ratio does.
        cost: What the model needs; of flash, without TFLite-Micro itself.
    """

    ratio: float
    report: PruneReport
    cost: DeviceCost

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return dataclasses.asdict(self)


def fit(
    module: torch.nn.Module,
    example_input: torch.Tensor,
    budget: DeviceBudget,
    say: Callable[[str], None] = lambda _: None,
) -> Fit:
    """Search the smallest pruning ratio at which the model fits.

    The result does not depend on the weights, only on the shapes: an untrained model will do.

    Args:
        module: Left as it was.
        example_input: One row with its batch axis, shape ``(1, *row shape)``.
        budget: What the device has.
        say: Takes a line about each model that was tried.

    Raises:
        OverBudgetError: Not even the smallest model fits; the message says what it lacks.
        ExportError: The model cannot be pruned or converted, or RAM cannot be measured here.
    """
    narrowest = plan_pruning(lambda: copy.deepcopy(module), example_input, NARROWEST)
    ratios = _ratios(narrowest.narrowed)

    def attempt(number: int) -> tuple[Fit, list[str]]:
        pruned, report = prune(module, example_input, ratios[number], ROUND_TO)
        cost = measure(pruned, tuple(example_input.shape[1:]))
        smallest = f"the smallest model, {ROUND_TO} channels a layer,"
        missing = reasons(budget_gates(cost, budget, smallest))
        say(_line(report, cost, fits=not missing))
        return Fit(ratios[number], report, cost), missing

    found, missing = attempt(0)
    if not missing:
        return found
    too_large, fits = 0, len(ratios) - 1
    found, missing = attempt(fits)
    if missing:
        raise OverBudgetError("; ".join(missing))
    while fits - too_large > 1:
        middle = (too_large + fits) // 2
        candidate, missing = attempt(middle)
        if missing:
            too_large = middle
        else:
            fits, found = middle, candidate
    return found


def _ratios(groups: Sequence[Narrowed]) -> list[float]:
    """Return a ratio for each different model, largest model first; the first ratio is 0."""
    steps = {
        ratio_that_keeps(kept, one.channels)
        for one in groups
        for kept in range(one.stay, one.channels, math.lcm(ROUND_TO, one.blocks))
    }
    models = {0.0: tuple(one.channels for one in groups)} | {
        ratio: tuple(channels_kept(one.channels, ratio, ROUND_TO, one.blocks) for one in groups)
        for ratio in sorted(steps)
    }
    return list({kept: ratio for ratio, kept in reversed(models.items())}.values())[::-1]


def _line(report: PruneReport, cost: DeviceCost, fits: bool) -> str:
    arena = "" if cost.arena_bytes is None else f", arena {cost.arena_bytes:,} B"
    return (
        f"fit: {report.parameters_after:,} parameters, file {cost.file_bytes:,} B{arena}, "
        f"{cost.macs:,} multiply-accumulates: {'fits' if fits else 'too large'}"
    )
