"""Channels that go together: found once by tracing, and what is left of every tensor without some.

Layers depend on each other (a convolution, its batch norm, the layers that read it, both ends of a
residual), as found by the dependency graph of Fang et al., "DepGraph: Towards Any Structural
Pruning", CVPR 2023 (torch-pruning). The library's own functions cut copies of the layers, in which
every entry holds its own place: what is left of a copy says which entries stay.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from frugalfl.errors import ExportError
from frugalfl.kept import Indices
from frugalfl.modules import named_tensors
from frugalfl_server.export.kept_entries import kept_entries, number_entries

if TYPE_CHECKING:
    import torch

#: What stays of a tensor, by axis; ``None``: all of it.
Lists = tuple[Indices | None, ...]


class Channels:
    """The channels of one layer, and of all layers that lose theirs with it.

    It has more than twelve methods because all that is known of the library's groups is in here:
    outside of this file nobody sees one.
    """

    def __init__(self, graph: Any, group: Any, names: Mapping[str, str]) -> None:
        """Begin with what the library found.

        Args:
            graph: Its dependency graph.
            group: All channels of a layer.
            names: The one name of each tensor by each of its names.
        """
        self._graph, self._group, self._names = graph, group, names
        self.count = len(group[0].idxs)

    @property
    def layer(self) -> str:
        """Name of the layer that leads the group."""
        return self._name_of(self._group[0].dep.target.module)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers whose outputs these channels are, in the order of the model."""
        outputs = {one.dep.target.module for one in self._group if self._makes_outputs(one.dep)}
        return tuple(name for layer, name in self._graph._module2name.items() if layer in outputs)

    @property
    def blocks(self) -> int:
        """In how many equal blocks the layers themselves divide the channels, at most."""
        return max((self._blocks_of(one.dep) for one in self._group), default=1)

    @property
    def reaches_output(self) -> bool:
        """Whether they are outputs of the model."""
        from torch_pruning.ops import OPTYPE

        return any(one.dep.target.type == OPTYPE.OUTPUT for one in self._group)

    @functools.cached_property
    def importance(self) -> torch.Tensor | None:
        """Return the L2 norm of each channel over all its layers, as shares of the mean."""
        from torch_pruning.pruner.importance import GroupMagnitudeImportance

        found: torch.Tensor | None = GroupMagnitudeImportance(p=2)(self._group)
        return found

    def kept_without(self, removed: Sequence[int]) -> dict[str, Lists]:
        """Return what is left of each tensor that loses entries with these channels.

        Raises:
            ExportError: More channels would have to go, or what is left is no cut along axes.
        """
        return self._cut(self._alone(removed))

    def check_alone(self, removed: Sequence[int]) -> None:
        """Check that these channels can go, and no other with them.

        Raises:
            ExportError: They cannot.
        """
        self._alone(removed)

    def read_without(self, removed: Sequence[int]) -> set[tuple[str, int]]:
        """Return the tensors and axes that only read these channels, and do not make them."""
        only = [one for one in self._steps(removed) if not self._makes(one.dep.handler)]
        cuts = self._cut(only).items()
        return {(n, k) for n, lists in cuts for k, one in enumerate(lists) if one is not None}

    def _alone(self, removed: Sequence[int]) -> Any:
        steps = self._steps(removed)
        if set(steps[0].idxs) != set(removed):
            raise ExportError("some of its channels cannot go without others")
        return steps

    def _steps(self, removed: Sequence[int]) -> Any:
        root = self._group[0].dep
        return self._graph.get_pruning_group(root.target.module, root.handler, list(removed))

    def _cut(self, steps: Any) -> dict[str, Lists]:
        twins: dict[Any, Any] = {}
        for dependency, indices in steps:
            _cut(twins, dependency, indices)
        kept: dict[str, Lists] = {}
        for part, twin in twins.items():
            for name, lists in self._lists_of(part, twin).items():
                if kept.setdefault(name, lists) is not lists and not _same(kept[name], lists):
                    raise ExportError(f"{name!r} is tied to another layer's weights")
        return kept

    def _lists_of(self, part: Any, twin: Any) -> dict[str, Lists]:
        """Return what a cut has left of a layer's tensors, or of a bare parameter."""
        import torch

        if isinstance(part, torch.nn.Parameter):
            name = self._names[self._graph._param_to_name[part]]
            return {name: kept_entries(name, twin, tuple(part.shape))}
        layer, left = named_tensors(part), named_tensors(twin)
        prefix = self._name_of(part)
        if layer.keys() != left.keys():
            raise ExportError(f"{prefix!r} ({type(part).__name__}) has weights of its own making")
        full = {leaf: self._names[f"{prefix}.{leaf}" if prefix else leaf] for leaf in layer}
        return {
            full[leaf]: kept_entries(full[leaf], left[leaf], tuple(tensor.shape))
            for leaf, tensor in layer.items()
            if left[leaf].shape != tensor.shape
        }

    def _name_of(self, part: Any) -> str:
        name: str = self._graph._module2name[part]
        return name

    def _makes_outputs(self, dependency: Any) -> bool:
        import torch

        part = dependency.target.module
        weighs = isinstance(part, torch.nn.Module) and bool(named_tensors(part))
        return weighs and self._makes(dependency.handler)

    def _makes(self, handler: Any) -> bool:
        made: bool = self._graph.is_out_channel_pruning_fn(handler)
        return made

    def _blocks_of(self, dependency: Any) -> int:
        part = dependency.target.module
        pruner = self._graph.get_pruner_of_module(part)
        if pruner is None or getattr(part, "groups", 0) == getattr(part, "out_channels", None):
            return 1
        outputs = self._makes(dependency.handler)
        ask = pruner.get_out_channel_groups if outputs else pruner.get_in_channel_groups
        return int(ask(part))


def channels_of(
    module: torch.nn.Module, example_input: torch.Tensor
) -> tuple[list[Channels], list[str]]:
    """Trace a module and return its groups of channels, but for the outputs of the model.

    Args:
        module: Put into evaluation mode, with gradients on.
        example_input: One row with its batch axis.

    Returns:
        The groups, and the names of layers whose group the library cannot follow.

    Raises:
        Exception: Whatever the library stumbles over.
    """
    import torch
    from torch_pruning import DependencyGraph

    # The dependency graph is read off autograd: a frozen layer would be invisible.
    module.requires_grad_(True)
    with torch.enable_grad():
        graph = DependencyGraph().build_dependency(
            module, example_input, output_transform=_mark, verbose=False
        )
    names = _names(module)
    found: list[Channels] = []
    lost: list[str] = []
    for layer, group in _groups(graph):
        if group is None:
            lost.append(graph._module2name[layer])
        elif not (one := Channels(graph, group, names)).reaches_output:
            found.append(one)
    return found, lost


def _groups(graph: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each layer that leads a group, in the graph's order, and the group or ``None``."""
    from torch_pruning.ops import TORCH_CONV, TORCH_LINEAR, TORCH_LSTM

    seen: set[Any] = set()
    for layer in list(graph.module2node):
        if not isinstance(layer, (TORCH_CONV, TORCH_LINEAR, TORCH_LSTM)) or layer in seen:
            continue
        pruner = graph.get_pruner_of_module(layer)
        everything = range(pruner.get_out_channels(layer))
        try:
            group = graph.get_pruning_group(layer, pruner.prune_out_channels, list(everything))
        except Exception:  # the library gives up in many ways
            yield layer, None
            continue
        seen |= {
            one.dep.target.module
            for one in group
            if graph.is_out_channel_pruning_fn(one.dep.handler)
        }
        yield layer, group


def _mark(output: Any) -> Any:
    """Do nothing, in a node of its own: the graph marks an output only if no layer made it."""
    return output * 1


def _names(module: torch.nn.Module) -> dict[str, str]:
    """Return each tensor's name in :func:`~frugalfl.modules.named_tensors`, by all its names."""
    state = {n: t for n, t in module.state_dict().items() if t.is_floating_point()}
    first = {tensor.data_ptr(): name for name, tensor in reversed(named_tensors(module).items())}
    return {name: first.get(tensor.data_ptr(), name) for name, tensor in state.items()}


def _cut(twins: dict[Any, Any], dependency: Any, indices: Iterable[int]) -> None:
    """Cut the copy of a layer or parameter, made of places, as the library cuts the original."""
    import torch

    part = dependency.target.module
    if isinstance(part, torch.nn.Module) and not named_tensors(part):
        return
    twin = twins[part] if part in twins else number_entries(copy.deepcopy(part))
    node, step = copy.copy(dependency.target), copy.copy(dependency)
    node.module, step.target = twin, node
    made = step(list(indices))
    twins[part] = made if isinstance(part, torch.nn.Parameter) else twin


def _same(one: Lists, other: Lists) -> bool:
    return all(
        (a is None) == (b is None) and (a is None or b is None or list(a) == list(b))
        for a, b in zip(one, other, strict=True)
    )
