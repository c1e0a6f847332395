"""A one-dimensional CNN as a two-dimensional one, channels last: what a microcontroller computes.

TFLite has no 1-D convolution. Left alone, the converter puts a RESHAPE and a TRANSPOSE in front,
and more of both around pooling. Every layer has a 2-D twin on ``(length, 1)`` that computes the
same numbers with the same weights; whether the whole model does is checked by value, since the
author's own code between the layers may count axes.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from frugalfl_server.export.record_calls import trace

if TYPE_CHECKING:
    import torch

#: ``(batch, channels, length)``.
SERIES_RANK = 3
TOLERANCE = 1e-5


def as_2d(module: torch.nn.Module, example: torch.Tensor) -> torch.nn.Module | None:
    """Return a copy that takes ``(1, channels, length, 1)`` and computes the same.

    Args:
        module: In evaluation mode; left as it was.
        example: One row with its batch axis.

    Returns:
        None if the row does not have two axes, the module has no 1-D convolution, or its 2-D
        twin computes something else.
    """
    import torch

    convolutions = (torch.nn.Conv1d, torch.nn.ConvTranspose1d)
    if example.ndim != SERIES_RANK:
        return None
    if not any(isinstance(one, convolutions) for one in module.modules()):
        return None
    twin = _replace_layers(copy.deepcopy(module), example)
    with torch.no_grad():
        # Other values than the example's: an accident does not happen twice.
        rows = (example, torch.randn(example.shape, generator=torch.Generator().manual_seed(1)))
        return twin if all(_same(module, twin, row) for row in rows) else None


def _same(module: torch.nn.Module, twin: torch.nn.Module, row: torch.Tensor) -> bool:
    import torch

    expected = module(row)
    try:
        got = twin(row[..., None])
    except Exception:
        return False  # code between the layers that only works on three axes
    if got.shape != expected.shape:
        return False
    scale = max(1.0, float(expected.abs().max()))
    return torch.allclose(got, expected, rtol=0, atol=TOLERANCE * scale)


def _replace_layers(model: torch.nn.Module, example: torch.Tensor) -> torch.nn.Module:
    # A batch norm may also be on rows without length, behind a flatten: it stays.
    on_series = [one.module for one in trace(model, example).modules if _is_series(one.input)]
    twins = {one: twin for one in on_series if (twin := _twin(one)) is not None}
    for path, one in list(model.named_modules(remove_duplicate=False)):
        if one in twins and path:
            model.set_submodule(path, twins[one])
    return twins.get(model, model)


def _is_series(value: Any) -> bool:
    return getattr(value, "ndim", None) == SERIES_RANK


def _twin(layer: Any) -> torch.nn.Module | None:
    """Build the 2-D layer that does on ``(length, 1)`` what a 1-D one does on ``length``."""
    from torch import nn

    kind = type(layer)
    if kind in (nn.Conv1d, nn.ConvTranspose1d):
        return _convolution(layer)
    if kind is nn.BatchNorm1d:
        twin = nn.BatchNorm2d(layer.num_features, eps=layer.eps, affine=layer.affine)
        twin.load_state_dict(layer.state_dict())
        return twin.eval()
    if kind is nn.MaxPool1d:
        window, stride = _tall(layer.kernel_size, 1), _tall(layer.stride, 1)
        padding, dilation = _tall(layer.padding, 0), _tall(layer.dilation, 1)
        return nn.MaxPool2d(window, stride, padding, dilation, ceil_mode=layer.ceil_mode)
    if kind is nn.AvgPool1d:
        window, stride = _tall(layer.kernel_size, 1), _tall(layer.stride, 1)
        padding, partial = _tall(layer.padding, 0), layer.count_include_pad
        return nn.AvgPool2d(window, stride, padding, layer.ceil_mode, partial)
    if kind is nn.AdaptiveAvgPool1d:
        return nn.AdaptiveAvgPool2d(_tall(layer.output_size, 1))
    if kind in (nn.ZeroPad1d, nn.ConstantPad1d):
        value = getattr(layer, "value", 0.0)
        return nn.ConstantPad2d((0, 0, *layer.padding), value)
    return None


def _convolution(layer: Any) -> torch.nn.Module:
    from torch import nn

    padding = layer.padding if isinstance(layer.padding, str) else _tall(layer.padding, 0)
    options = {
        "stride": _tall(layer.stride, 1),
        "padding": padding,
        "dilation": _tall(layer.dilation, 1),
        "groups": layer.groups,
        "padding_mode": layer.padding_mode,
    }
    kind: Any = nn.Conv2d
    if layer.transposed:
        kind, options["output_padding"] = nn.ConvTranspose2d, _tall(layer.output_padding, 0)
    twin: torch.nn.Module = kind(
        layer.in_channels,
        layer.out_channels,
        _tall(layer.kernel_size, 1),
        bias=layer.bias is not None,
        **options,
    )
    twin.weight = nn.Parameter(layer.weight[..., None])
    twin.bias = layer.bias
    return twin


def _tall(size: Any, across: int) -> tuple[int, int]:
    """Return a 1-D size as a 2-D one: along the series, and across it."""
    return (size if isinstance(size, int) else size[0]), across
