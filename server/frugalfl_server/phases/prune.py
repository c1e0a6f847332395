"""What a run's pruning will do, tried before the first round and done after the last."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import torch

from frugalfl.modules import read_parameters
from frugalfl.resize import resize
from frugalfl.settings import Settings
from frugalfl.task import Examples, Task
from frugalfl_server.export import (
    DeviceBudget,
    PruneReport,
    PruningPlan,
    fit,
    plan_pruning,
    prune_by,
)
from frugalfl_server.export.prune_plan import NARROWEST, LeftWhole
from frugalfl_server.phases.federation import Federation
from frugalfl_server.phases.initial_model import initial_model
from frugalfl_server.run import summary

_log = logging.getLogger(__name__)
#: Most groups, and most layers of each, that the line about them names.
_MOST_NAMED = 3


def check_pruning(task: Task, settings: Settings, rows: Examples) -> Iterator[str]:
    """Try the pruning on shapes, and yield a line about what it will leave whole.

    With a budget the narrowest model is tried, because the ratio is not known yet.
    """
    if settings.wire.private or not settings.export.prunes:
        return
    ratio = NARROWEST if settings.export.has_budget else settings.export.prune
    plan = plan_for(task, settings, rows, ratio)
    if line := left_whole(plan.whole):
        yield f"prune: left whole: {line}"
    if not plan.narrowed:
        yield "prune: no layer can be made narrower, so nothing is pruned and no round recovers"


def plan_pruning_of(federation: Federation, ratio: float) -> None:
    """Plan what pruning will remove; nothing, if no layer can become narrower.

    Args:
        federation: Takes the plan.
        ratio: Share of channels to remove.
    """
    if not ratio:
        return
    plan, whole_b = _planned(federation.task, federation.settings, federation.public.test, ratio)
    # Once it is pruned, nothing else of the run tells how large the model was.
    federation.run.write_json(summary.PRUNING, plan.to_dict() | {"float32_bytes": whole_b})
    if plan.narrowed:
        federation.plan, federation.ratio = plan, ratio


def ratio_of(federation: Federation) -> float:
    """Return the share of channels to prune; with a budget, the least that makes the model fit.

    That does not depend on the weights. So a budget that no model can meet is found before the
    first round.
    """
    budget = DeviceBudget.of_settings(federation.settings)
    if not budget.limited:
        return federation.settings.export.prune
    _log.info("fit: the largest model within the budget")
    module = initial_model(federation.task, federation.settings)
    with federation.energy.window("prune", round=0):
        found = fit(module, example_of(federation.public.test), budget, _log.info)
    federation.sink.add_energy(federation.energy.take())
    federation.run.write_json("fit.json", found.to_dict())
    return found.ratio


def prune(federation: Federation, module: torch.nn.Module) -> torch.nn.Module:
    """Prune the trained model as planned; clients are told which channels stay."""
    if federation.plan is None:
        return module
    with federation.energy.window("prune", round=federation.last_round):
        pruned, report = prune_as_planned(
            federation.plan, federation.task, module, federation.public.test
        )
    federation.sink.add_energy(federation.energy.take())
    _log.info(f"prune: {report.parameters_before:,} parameters become {report.parameters_after:,}")
    if federation.downlink is not None:
        federation.downlink.prune(report.kept)
    if not federation.settings.export.recover_rounds:
        federation.sink.write_model(read_parameters(pruned), "prune", federation.last_round)
    return pruned


def plan_for(task: Task, settings: Settings, rows: Examples, ratio: float) -> PruningPlan:
    """Plan the pruning of a run's model; the result depends on its shapes only.

    Args:
        task: Whose model.
        settings: They say what the run begins with.
        rows: At least one row.
        ratio: Share of channels to remove.

    Raises:
        ExportError: The model does not run on a row.
    """
    return _planned(task, settings, rows, ratio)[0]


def _planned(
    task: Task, settings: Settings, rows: Examples, ratio: float
) -> tuple[PruningPlan, int]:
    """Return the plan, and the length of the whole model in float32 (B)."""
    with torch.random.fork_rng(devices=[]):
        weights = read_parameters(initial_model(task, settings))
        plan = plan_pruning(_builder(task, weights), example_of(rows), ratio)
        return plan, sum(4 * tensor.size for tensor in weights.values())


def prune_as_planned(
    plan: PruningPlan, task: Task, module: torch.nn.Module, rows: Examples
) -> tuple[torch.nn.Module, PruneReport]:
    """Remove the weakest channels of the groups that the plan makes narrower.

    Args:
        plan: Of this task's model.
        task: Builds the smaller module.
        module: With the trained weights; left as it was.
        rows: As the plan was made with.

    Raises:
        ExportError: Weights that are NaN or infinite.
    """
    return prune_by(plan, module, example_of(rows), _builder(task, read_parameters(module)))


def example_of(rows: Examples) -> torch.Tensor:
    """Return one row with its batch axis."""
    return torch.from_numpy(rows.x[:1])


def left_whole(whole: tuple[LeftWhole, ...]) -> str:
    """Return one short line about the groups that stay as they are; empty: there are none."""
    texts = [f"{_some(one.layers)} ({_short(one.why)})" for one in whole[:_MOST_NAMED]]
    more = len(whole) - _MOST_NAMED
    return ", ".join(texts) + (f" and {more} more groups" if more > 0 else "")


def _some(names: tuple[str, ...]) -> str:
    more = len(names) - _MOST_NAMED
    return " + ".join(names[:_MOST_NAMED]) + (f" + {more} more layers" if more > 0 else "")


def _short(why: str) -> str:
    """Return a reason without PyTorch's own words, which ``pruning.json`` has."""
    return why.partition(":")[0].partition(";")[0]


def _builder(task: Task, weights: Any) -> Callable[[], torch.nn.Module]:
    shapes = {name: array.shape for name, array in weights.items()}
    return lambda: resize(task.new_model(), shapes)
