"""Build a pruned model from the task's dense one, with PyTorch alone.

Structured pruning only makes tensors smaller. A client that knows the shapes needs no pruning
library: it gives every tensor its shape, and tells each layer its new number of channels.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from frugalfl.errors import TaskError

Shape = tuple[int, ...]


def resize(module: nn.Module, shapes: Mapping[str, Shape]) -> nn.Module:
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
    changes = {
        layer: smaller
        for prefix, layer in module.named_modules()
        if (smaller := _smaller(layer, prefix, shapes))
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


def _check(module: nn.Module, shapes: Mapping[str, Shape]) -> None:
    state = {n: t for n, t in module.state_dict().items() if t.is_floating_point() or n in shapes}
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


def _smaller(layer: nn.Module, prefix: str, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Return the layer's own tensors that change, by their name in the layer."""
    own = [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]
    named = [(leaf, tensor, f"{prefix}.{leaf}" if prefix else leaf) for leaf, tensor in own]
    return {
        leaf: tuple(shapes[name])
        for leaf, tensor, name in named
        if name in shapes and tuple(tensor.shape) != tuple(shapes[name])
    }


def _check_type(layer: nn.Module) -> None:
    """Refuse PyTorch's layers that keep sizes of their own which are not known here (LSTM, ...)."""
    known = (nn.Linear, _ConvNd, _NormBase, nn.LayerNorm, nn.GroupNorm, nn.PReLU, nn.Embedding)
    if type(layer).__module__.startswith("torch.") and not isinstance(layer, known):
        raise TaskError(f"a pruned {type(layer).__name__} cannot be rebuilt; leave it unpruned")


def _zeros(tensor: torch.Tensor, shape: Shape) -> torch.Tensor:
    zeros = torch.zeros(shape, dtype=tensor.dtype, device=tensor.device)
    return nn.Parameter(zeros, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else zeros


def _set_sizes(layer: nn.Module) -> None:
    """Make a layer's own record of its sizes agree with its tensors."""
    if isinstance(layer, _ConvNd):
        _set_channels(layer)
    elif isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = layer.weight.shape
    elif isinstance(layer, _NormBase):
        known = layer.weight if layer.weight is not None else layer.running_mean
        layer.num_features = len(known) if known is not None else layer.num_features
    elif isinstance(layer, nn.LayerNorm):
        layer.normalized_shape = tuple(layer.weight.shape)
    elif isinstance(layer, nn.GroupNorm):
        layer.num_channels = len(layer.weight)
    elif isinstance(layer, nn.PReLU):
        layer.num_parameters = len(layer.weight)
    elif isinstance(layer, nn.Embedding):
        layer.num_embeddings, layer.embedding_dim = layer.weight.shape


def _set_channels(layer: _ConvNd) -> None:
    first, second = layer.weight.shape[:2]
    if layer.groups == layer.in_channels == layer.out_channels:
        # Depthwise: one group a channel. Other groups only become narrower, not fewer.
        layer.groups = first
    inside, outside = (first, second * layer.groups), (second * layer.groups, first)
    layer.in_channels, layer.out_channels = inside if layer.transposed else outside
