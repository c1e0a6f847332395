"""Structured pruning: whole channels go, so that the model that is left is simply a smaller one.

Channels that depend on each other (a convolution, its batch norm, the layers that read it, both
ends of a residual) are removed together, as found by the dependency graph of Fang et al.,
"DepGraph: Towards Any Structural Pruning", CVPR 2023 (torch-pruning). In each group the channels
with the smallest L2 norm go.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from frugalfl.errors import ExportError
from frugalfl.modules import named_tensors
from frugalfl_server.export.cost import count_macs, count_parameters
from frugalfl_server.export.explain import explained
from frugalfl_server.export.quiet import quiet

if TYPE_CHECKING:
    import torch

#: Steps of a pruning: name of a layer, whether its outputs (else inputs), and which of them went.
History = tuple[tuple[str, bool, tuple[int, ...]], ...]

_HINT = "layers must be modules (not torch.nn.functional with weights), the example a batch of one"


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
        history: What was removed, step by step.
    """

    ratio: float
    parameters_before: int
    parameters_after: int
    macs_before: int
    macs_after: int
    shapes: Mapping[str, tuple[int, ...]]
    history: History = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return dataclasses.asdict(self)


def prune(
    module: torch.nn.Module, example_input: torch.Tensor, ratio: float, round_to: int = 4
) -> tuple[torch.nn.Module, PruneReport]:
    """Remove the weakest channels of every layer, but of the model's outputs and of tied weights.

    The accuracy drops far until the pruned model has been trained on for a while.

    Args:
        module: Left as it was.
        example_input: One row with its batch axis, shape ``(1, *row shape)``, to trace with.
        ratio: Share of channels to remove from each group, ``0 <= ratio < 1``.
        round_to: The channels that stay are a multiple of this, rounded down, and at least as
            many: 4 suits the int8 kernels of Cortex-M. A group with no more than that is left
            whole.

    Returns:
        A new module with gradients on, and the report.

    Raises:
        ExportError: A ratio out of range, weights that are NaN or infinite, or a model that cannot
            be traced.
        MissingExtraError: torch-pruning is not installed.
    """
    if not 0 <= ratio < 1:
        raise ExportError(f"prune ratio {ratio} is not in [0, 1); 0.5 removes half of the channels")
    _check_weights(module)
    pruned = copy.deepcopy(module)
    with explained(f"{type(module).__name__} cannot be pruned", _HINT):
        before = count_macs(module, example_input)
        history = _remove_channels(pruned, example_input, ratio, round_to) if ratio > 0 else ()
        after = count_macs(pruned, example_input)
    report = PruneReport(
        ratio, count_parameters(module), count_parameters(pruned), before, after, _shapes(pruned),
        history,
    )  # fmt: skip
    return pruned.train(module.training), report


def group_sizes(module: torch.nn.Module, example_input: torch.Tensor) -> list[int]:
    """Return the number of channels of each group that :func:`prune` may make narrower.

    Args:
        module: Left as it was.
        example_input: One row with its batch axis.

    Raises:
        ExportError: The model cannot be traced.
    """
    with explained(f"{type(module).__name__} cannot be pruned", _HINT), quiet():
        return list(_groups(copy.deepcopy(module), example_input).values())


def ratio_that_keeps(channels: int, of: int) -> float:
    """Return a pruning ratio at which so many channels of a group stay, safe from rounding."""
    return max(0.0, 1 - channels / of - 1e-9)


def channels_kept(of: int, ratio: float, round_to: int) -> int:
    """Return how many channels of a group stay when :func:`prune` has rounded them."""
    return max(min(round_to, of), int(of * (1 - ratio)) // round_to * round_to)


def _check_weights(module: torch.nn.Module) -> None:
    for name, tensor in module.state_dict().items():
        if not tensor.isfinite().all():
            raise ExportError(f"{name!r} holds NaN or infinity; the model's training went wrong")


def _groups(module: torch.nn.Module, example_input: torch.Tensor) -> dict[torch.nn.Module, int]:
    """Return the channels of each group by the layer that leads it; outputs are no groups."""
    import torch
    import torch_pruning

    # The dependency graph is read off autograd: a frozen layer would be invisible.
    module.requires_grad_(True)
    with torch.enable_grad():
        graph = torch_pruning.DependencyGraph().build_dependency(
            module, example_input, output_transform=_marked
        )
    tied = tied_layers(module)
    roots = [torch_pruning.ops.TORCH_CONV, torch_pruning.ops.TORCH_LINEAR]
    return {
        group[0].dep.target.module: len(group[0].idxs)
        for group in graph.get_all_groups(root_module_types=roots)
        if not _reaches_output(group) and not _touches(group, tied)
    }


def _marked(output: Any) -> Any:
    """Do nothing, in a node of its own: the graph marks an output only where no layer made it."""
    return output * 1


def _remove_channels(
    module: torch.nn.Module, example_input: torch.Tensor, ratio: float, round_to: int
) -> History:
    import torch

    with torch.enable_grad(), quiet():
        import torch_pruning

        groups = _groups(module, example_input)

        pruner = torch_pruning.pruner.BasePruner(
            module,
            example_input,
            importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
            pruning_ratio=ratio,
            round_to=round_to,
            # Rounded down to nothing, a narrow group would be left whole.
            pruning_ratio_dict={
                layer: ratio_that_keeps(min(round_to, size), size)
                for layer, size in groups.items()
                if size * (1 - ratio) < round_to
            },
            output_transform=_marked,
            # The library's defaults for these two are shared between calls and remember modules.
            in_channel_groups={},
            out_channel_groups={},
        )
        tied = tied_layers(module)
        for group in pruner.step(interactive=True):
            if not _reaches_output(group) and not _touches(group, tied):
                group.prune()
        return tuple(
            (name, bool(out), tuple(which)) for name, out, which in pruner.pruning_history()
        )


def _reaches_output(group: Any) -> bool:
    from torch_pruning.ops import OPTYPE

    return any(dependency.target.type == OPTYPE.OUTPUT for dependency, _ in group)


def tied_layers(module: torch.nn.Module) -> set[torch.nn.Module]:
    """Return the layers that share a tensor: it is cut as one of them needs, and fits no other."""
    owners: dict[int, list[torch.nn.Module]] = {}
    for layer in module.modules():
        for tensor in layer.parameters(recurse=False):
            owners.setdefault(id(tensor), []).append(layer)
    return {layer for layers in owners.values() if len(layers) > 1 for layer in layers}


def _touches(group: Any, layers: set[torch.nn.Module]) -> bool:
    return any(dependency.target.module in layers for dependency, _ in group)


def _shapes(module: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in named_tensors(module).items()}
