"""Which channels a pruning kept, as lists of indices that clients can cut their model by.

The pruning library says what it removed, layer by layer, but not which entries of which tensor that
took along. So its steps are repeated on a copy in which every entry holds its own place: what is
left of the copy says where it came from.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from frugalfl.errors import ExportError
from frugalfl.kept import Indices, Kept, take
from frugalfl.modules import named_tensors, read_parameters
from frugalfl_server.export.explain import explained
from frugalfl_server.export.prune import History
from frugalfl_server.export.quiet import quiet

if TYPE_CHECKING:
    import torch

_Places = npt.NDArray[np.float64]


def kept_channels(
    module: torch.nn.Module,
    pruned: torch.nn.Module,
    example_input: torch.Tensor,
    history: History,
) -> Kept | None:
    """Return which entries of each tensor a pruning kept.

    Args:
        module: The model before; left as it was.
        pruned: The same after.
        example_input: As it was pruned with.
        history: The steps of the pruning (:class:`~frugalfl_server.export.PruneReport`).

    Returns:
        The lists of the floating-point tensors; ``None`` where lists cannot tell: the steps cannot
        be repeated, a tensor's entries are no outer product of lists, or are not those from before.
    """
    before, after = read_parameters(module), read_parameters(pruned)
    try:
        places = _places_left(module, example_input, history)
    except ExportError:
        return None
    if places.keys() != before.keys():
        return None
    kept: dict[str, tuple[Indices | None, ...]] = {}
    for name, tensor in before.items():
        lists = _lists(places[name], tensor.shape)
        if lists is None:
            return None
        kept[name] = lists
    cut = take(before, kept)
    same = cut.keys() == after.keys() and all(
        np.array_equal(tensor, after[name]) for name, tensor in cut.items()
    )
    return kept if same else None


def _places_left(
    module: torch.nn.Module, example_input: torch.Tensor, history: History
) -> dict[str, _Places]:
    """Repeat the pruning on places instead of weights; return those that are left, by tensor."""
    import torch

    # Traced with its weights, as the pruning was; float64 holds every place exactly.
    twin = copy.deepcopy(module).requires_grad_(True)
    with explained("the pruning cannot be repeated"), torch.enable_grad(), quiet():
        import torch_pruning

        graph = torch_pruning.DependencyGraph().build_dependency(
            twin, example_input, output_transform=lambda output: output * 1
        )
        twin.double()
        with torch.no_grad():
            for tensor in twin.state_dict().values():
                if tensor.is_floating_point():
                    tensor.copy_(torch.arange(tensor.numel()).view(tensor.shape))
        graph.load_pruning_history([list(step) for step in history])
    return {name: tensor.detach().numpy() for name, tensor in named_tensors(twin).items()}


def _lists(places: _Places, shape: tuple[int, ...]) -> tuple[Indices | None, ...] | None:
    """Return the lists whose outer product these places are, if there are such lists."""
    if places.ndim != len(shape) or not places.size:
        return None
    flat = places.astype(np.intp)
    lists = []
    for axis, index in enumerate(np.unravel_index(flat, shape)):
        first: Indices = np.moveaxis(index, axis, 0).reshape(flat.shape[axis], -1)[:, 0]
        if (np.diff(first) < 1).any():
            return None
        lists.append(first)
    if not np.array_equal(flat, np.ravel_multi_index(np.ix_(*lists), shape) if lists else flat):
        return None
    return tuple(
        None if indices.size == size else indices
        for indices, size in zip(lists, shape, strict=True)
    )
