"""Structured pruning: whole channels go, so that the model that is left is simply a smaller one.

Channels that depend on each other go together (:mod:`channels`), and only if that was tried
(:mod:`prune_plan`). In each group the channels with the smallest L2 norm go.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from frugalfl.errors import ExportError
from frugalfl.kept import Kept, take
from frugalfl.modules import read_parameters, write_parameters
from frugalfl.resize import resize
from frugalfl_server.export.channels import channels_of
from frugalfl_server.export.explain_error import explain_errors
from frugalfl_server.export.kept_entries import all_cuts
from frugalfl_server.export.macs import count_macs, count_parameters
from frugalfl_server.export.prune_cut import ROUND_TO, find_removed
from frugalfl_server.export.prune_plan import LeftWhole, PruningPlan, plan_pruning
from frugalfl_server.export.quiet import quiet

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PruneReport:
    """What pruning did.

    Attributes:
        ratio: Share of channels that was asked for.
        parameters_before: Trainable numbers.
        parameters_after: Trainable numbers that are left.
        macs_before: Multiply-accumulate operations of one row.
        macs_after: The same, of the pruned model.
        shapes: Shape of every floating-point tensor of the pruned state, by name: what a client
            needs to build the same model from the task's.
        kept: What stays of each tensor: what a client needs to cut its own copy.
        whole: Which groups could not become narrower, and why.
    """

    ratio: float
    parameters_before: int
    parameters_after: int
    macs_before: int
    macs_after: int
    shapes: Mapping[str, tuple[int, ...]]
    kept: Kept = field(repr=False)
    whole: tuple[LeftWhole, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, without the lists of what stays."""
        about = dataclasses.asdict(self)
        del about["kept"]
        return about


def prune(
    module: torch.nn.Module, example_input: torch.Tensor, ratio: float, round_to: int = ROUND_TO
) -> tuple[torch.nn.Module, PruneReport]:
    """Remove the weakest channels of every layer, but of the model's outputs.

    Groups of channels that cannot be narrower stay whole, as the report says. The accuracy drops
    far until the pruned model has been trained on for a while.

    Args:
        module: Left as it was.
        example_input: One row with its batch axis, shape ``(1, *row shape)``, to trace with.
        ratio: Share of channels to remove from each group, ``0 <= ratio < 1``.
        round_to: The channels that stay are a multiple of this, rounded down, and at least as
            many. A group with no more than that is left whole.

    Returns:
        A new module with gradients on, and the report.

    Raises:
        ExportError: A ratio out of range, weights that are NaN or infinite, or a model that does
            not run on the row.
        MissingExtraError: torch-pruning is not installed.
    """

    def build() -> torch.nn.Module:
        return copy.deepcopy(module)

    return prune_by(
        plan_pruning(build, example_input, ratio, round_to), module, example_input, build
    )


def prune_by(
    plan: PruningPlan,
    module: torch.nn.Module,
    example_input: torch.Tensor,
    build: Callable[[], torch.nn.Module],
) -> tuple[torch.nn.Module, PruneReport]:
    """Remove the channels that a plan has tried to remove; which ones depends on the weights.

    Args:
        plan: Of a module with these shapes.
        module: Left as it was.
        example_input: As the plan was made with.
        build: Makes such a module anew, as the plan was made with.

    Returns:
        A new module with gradients on, and the report.

    Raises:
        ExportError: Weights that are NaN or infinite.
    """
    import torch

    _check_weights(module)
    with torch.random.fork_rng(devices=[]):
        pruned = build()
        pruned.load_state_dict(module.state_dict())
        kept = _find_kept(plan, build, example_input, module)
    cut = take(read_parameters(module), kept)
    resize(pruned, plan.shapes).requires_grad_(True)
    write_parameters(pruned, cut)
    report = PruneReport(
        plan.ratio, count_parameters(module), count_parameters(pruned),
        count_macs(module, example_input[:1]), count_macs(pruned, example_input[:1]),
        plan.shapes, kept, plan.whole,
    )  # fmt: skip
    return pruned.train(module.training), report


def _check_weights(module: torch.nn.Module) -> None:
    for name, tensor in module.state_dict().items():
        if not tensor.isfinite().all():
            raise ExportError(f"{name!r} holds NaN or infinity; the model's training went wrong")


def _find_kept(
    plan: PruningPlan,
    build: Callable[[], torch.nn.Module],
    example_input: torch.Tensor,
    module: torch.nn.Module,
) -> Kept:
    """Return what stays of each tensor when the weakest channels of these weights go."""
    weights = read_parameters(module)
    shapes = {name: array.shape for name, array in weights.items()}
    if not plan.narrowed:
        return all_cuts((), shapes)
    with explain_errors(f"{type(module).__name__} cannot be pruned"), quiet():
        traced = build()
        write_parameters(traced, weights)
        found = {one.layer: one for one in channels_of(traced, example_input[:1])[0]}
        cuts = [
            found[one.layer].kept_without(find_removed(found[one.layer], one))
            for one in plan.narrowed
        ]
        return all_cuts(cuts, shapes)
