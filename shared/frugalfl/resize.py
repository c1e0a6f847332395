"""Build a pruned model from the task's dense one, without a pruning library.

Structured pruning only makes tensors smaller. Who knows the shapes gives every tensor its shape,
and tells each layer its new number of channels. PyTorch itself is not imported: the module that
comes in brings its classes along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from frugalfl.errors import TaskError
from frugalfl.modules import named_tensors

if TYPE_CHECKING:
    import torch

Shape = tuple[int, ...]


def resize(module: torch.nn.Module, shapes: Mapping[str, Shape]) -> torch.nn.Module:
    """Give a freshly built module the tensor shapes of its pruned version.

    Args:
        module: The task's dense model; changed in place.
        shapes: Shape of each floating-point tensor of the pruned state, by its name in
            ``state_dict()``.

    Returns:
        The module. Tensors whose shape changed are zero: load the pruned state into it.

    Raises:
        TaskError: Names that are not the module's, a tensor with other axes or larger than the
            module's, or a layer type that cannot be resized.
    """
    _check(module, shapes)
    wanted = _by_tensor(module, shapes)
    changes = {
        layer: smaller
        for prefix, layer in module.named_modules()
        if (smaller := _smaller(layer, wanted))
    }
    for layer in changes:
        _check_type(layer)
    fresh: dict[int, torch.Tensor] = {}
    for layer, smaller in changes.items():
        for leaf, shape in smaller.items():
            tensor = getattr(layer, leaf)
            # Tied weights are one tensor under several names, and stay one.
            setattr(layer, leaf, fresh.setdefault(id(tensor), _zeros(tensor, shape)))
        _set_sizes(layer)
    return module


def _check(module: torch.nn.Module, shapes: Mapping[str, Shape]) -> None:
    known = named_tensors(module)
    state = known | {n: t for n, t in module.state_dict().items() if n in shapes}
    odd = sorted(state.keys() ^ shapes.keys())
    if odd:
        what = "the model has no" if odd[0] in shapes else "no shape came for"
        raise TaskError(f"{what} {odd[0]!r} ({len(odd)} such names); is it the same task?")
    for name, tensor in state.items():
        dense, wanted = tuple(tensor.shape), tuple(shapes[name])
        if not _fits_in(wanted, dense):
            raise TaskError(
                f"{name!r} is {dense} and cannot shrink to {wanted}; is it the same task?"
            )


def _fits_in(wanted: Shape, dense: Shape) -> bool:
    if len(wanted) != len(dense):
        return False
    return all(new == old or 0 < new < old for new, old in zip(wanted, dense, strict=True))


def _by_tensor(module: torch.nn.Module, shapes: Mapping[str, Shape]) -> dict[int, Shape]:
    """Return the wanted shape of each tensor object: a tied one has a shape by one of its names."""
    named = [*module.named_parameters(remove_duplicate=False), *module.named_buffers()]
    return {id(tensor): tuple(shapes[name]) for name, tensor in named if name in shapes}


def _smaller(layer: torch.nn.Module, wanted: Mapping[int, Shape]) -> dict[str, Shape]:
    """Return the layer's own tensors that change, by their name in the layer."""
    own = [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]
    return {
        leaf: wanted[id(tensor)]
        for leaf, tensor in own
        if tuple(tensor.shape) != wanted.get(id(tensor), tuple(tensor.shape))
    }


def _torch_classes(layer: torch.nn.Module) -> set[str]:
    """Return which of PyTorch's layers this one is, or is derived from."""
    bases = type(layer).__mro__
    return {base.__name__ for base in bases if base.__module__.startswith("torch.nn.modules.")}


def _check_type(layer: torch.nn.Module) -> None:
    """Refuse PyTorch's layers that keep sizes of their own which are not known here (LSTM, ...)."""
    classes = _torch_classes(layer) - {"Module"}
    if classes and not classes & _SIZES.keys():
        raise TaskError(f"a pruned {type(layer).__name__} cannot be rebuilt; leave it unpruned")


def _zeros(tensor: torch.Tensor, shape: Shape) -> torch.Tensor:
    zeros = tensor.detach().new_zeros(shape)
    parameter: Any = type(tensor)
    return zeros if parameter is type(zeros) else parameter(zeros, tensor.requires_grad)


def _set_sizes(layer: torch.nn.Module) -> None:
    """Make a layer's own record of its sizes agree with its tensors."""
    for name in _torch_classes(layer) & _SIZES.keys():
        _SIZES[name](layer)


def _set_channels(layer: Any) -> None:
    first, second = layer.weight.shape[:2]
    if layer.groups == layer.in_channels == layer.out_channels:
        # Depthwise: one group a channel. Other groups only become narrower, not fewer.
        layer.groups = first
    inside, outside = (first, second * layer.groups), (second * layer.groups, first)
    layer.in_channels, layer.out_channels = inside if layer.transposed else outside


def _set_features(layer: Any) -> None:
    layer.out_features, layer.in_features = layer.weight.shape


def _set_norm(layer: Any) -> None:
    layer.num_features = len(layer.running_mean if layer.weight is None else layer.weight)


def _set_layer_norm(layer: Any) -> None:
    layer.normalized_shape = tuple(layer.weight.shape)


def _set_group_norm(layer: Any) -> None:
    layer.num_channels = len(layer.weight)


def _set_prelu(layer: Any) -> None:
    layer.num_parameters = len(layer.weight)


def _set_embedding(layer: Any) -> None:
    layer.num_embeddings, layer.embedding_dim = layer.weight.shape


#: PyTorch's layers with weights, and how their sizes follow from their tensors.
_SIZES: Mapping[str, Callable[[Any], None]] = {
    "_ConvNd": _set_channels,
    "Linear": _set_features,
    "_NormBase": _set_norm,  # batch and instance norm
    "LayerNorm": _set_layer_norm,
    "GroupNorm": _set_group_norm,
    "PReLU": _set_prelu,
    "Embedding": _set_embedding,
}
