"""Batch norms out of a trained module: a trained one is a scale and a shift for each channel.

Where it follows a convolution or a dense layer, or goes into one without padding, that layer's
weights take both in, exactly, and nothing is left to compute. Elsewhere (behind a ReLU and in
front of a padded convolution, after a sum) a 1x1 depthwise convolution does the same in one
operator, where the converter makes four. What reads what is seen while the module runs on one
row, so that any control flow will do.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from frugalfl_server.export.record_calls import ModuleCall, Trace, trace

if TYPE_CHECKING:
    import torch

#: ``(batch, channels, height, width)``.
IMAGE_RANK = 4


def fold_batch_norms(module: torch.nn.Module, example: torch.Tensor) -> torch.nn.Module:
    """Return a module without batch norms that computes the same, as far as that is possible.

    Args:
        module: In evaluation mode; left as it was.
        example: One row with its batch axis.

    Returns:
        A copy; or the module itself if it has no batch norm, or the copy's outputs differ.
    """
    import torch
    from torch.nn.modules.batchnorm import _BatchNorm

    if not any(isinstance(one, _BatchNorm) for one in module.modules()):
        return module
    folded = copy.deepcopy(module)
    seen = trace(folded, example)
    with torch.no_grad():
        for call in seen.modules:
            if isinstance(call.module, _BatchNorm) and _is_trained(call.module):
                _replace(folded, call, seen)
        same = torch.allclose(folded(example), module(example), rtol=1e-3, atol=1e-4)
    return folded if same else module


def _is_trained(norm: Any) -> bool:
    """Say whether the norm has statistics: without them it measures every row anew."""
    return norm.running_mean is not None


def _replace(model: torch.nn.Module, norm: ModuleCall, seen: Trace) -> None:
    import torch

    if not norm.path or sum(one.module is norm.module for one in seen.modules) != 1:
        return
    before = _neighbour(norm.input, seen, makes_it=True)
    taken = before is not None and _scale_rows(before, norm)
    if not taken:
        after = _neighbour(norm.output, seen, makes_it=False)
        taken = after is not None and _scale_columns(after, norm)
    if taken:
        model.set_submodule(norm.path, torch.nn.Identity())
    elif norm.input.ndim == IMAGE_RANK:
        model.set_submodule(norm.path, _depthwise(norm.module))


def _neighbour(tensor: torch.Tensor, seen: Trace, makes_it: bool) -> ModuleCall | None:
    """Return the layer that makes a tensor, or reads it, if it runs once and nobody else reads."""
    import torch

    kinds = (torch.nn.Linear, torch.nn.modules.conv._ConvNd)
    found = [one for one in seen.modules if tensor is (one.output if makes_it else one.input)]
    if len(found) != 1 or tensor is seen.output or len(seen.readers(tensor)) != 1:
        return None
    layer = found[0]
    once = sum(one.module is layer.module for one in seen.modules) == 1
    return layer if once and isinstance(layer.module, kinds) and _owns(layer, seen) else None


def _owns(layer: ModuleCall, seen: Trace) -> bool:
    """Say whether the layer's weights are used by nothing but its own run."""
    weight: Any = layer.module.weight
    return len(seen.readers(weight)) == 1


def _affine(norm: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return scale and shift of each channel: ``norm(x) = scale * x + shift``."""
    import torch

    scale = torch.rsqrt(norm.running_var + norm.eps)
    if norm.affine:
        scale = scale * norm.weight
    shift = -norm.running_mean * scale
    return scale, shift + norm.bias if norm.affine else shift


def _scale_rows(layer: ModuleCall, norm: ModuleCall) -> bool:
    """Let the layer in front put out what the norm would make of its outputs."""
    import torch

    module: Any = layer.module
    if isinstance(module, torch.nn.Linear) and layer.output.ndim != 2:
        return False  # the norm's channels are not the layer's features
    scale, shift = _affine(norm.module)
    transposed = getattr(module, "transposed", False)
    if transposed and module.groups != 1:
        return False
    shape = [1, -1] if transposed else [-1, 1]
    shape += [1] * (module.weight.ndim - 2)
    module.weight = torch.nn.Parameter(module.weight * scale.reshape(shape))
    bias = 0 if module.bias is None else module.bias * scale
    module.bias = torch.nn.Parameter(bias + shift)
    return True


def _scale_columns(layer: ModuleCall, norm: ModuleCall) -> bool:
    """Let the layer behind take in what the norm would have changed."""
    import torch

    module: Any = layer.module
    if isinstance(module, torch.nn.Linear):
        if norm.output.ndim != 2:
            return False
    elif module.transposed or module.groups != 1 or _pads(module):
        return False  # padding is zero behind the norm, and would not be zero in front of it
    scale, shift = _affine(norm.module)
    rest = [1] * (module.weight.ndim - 2)
    moved = (module.weight * shift.reshape(1, -1, *rest)).flatten(1).sum(1)
    module.bias = torch.nn.Parameter(moved if module.bias is None else module.bias + moved)
    module.weight = torch.nn.Parameter(module.weight * scale.reshape(1, -1, *rest))
    return True


def _pads(convolution: Any) -> bool:
    return convolution.padding != "valid" and any(one != 0 for one in convolution.padding)


def _depthwise(norm: Any) -> torch.nn.Module:
    import torch

    scale, shift = _affine(norm)
    channels = len(scale)
    layer = torch.nn.Conv2d(channels, channels, 1, groups=channels)
    layer.weight = torch.nn.Parameter(scale.reshape(-1, 1, 1, 1))
    layer.bias = torch.nn.Parameter(shift)
    return layer
