"""Models so plain that the converter is known to take them, so that nobody has to try it.

Converting a small model takes seconds, and most are made of the same few layers. What is listed
here is the narrow case of each: the options that a test converts, quantizes and runs, alone and
in chains (``tests/slow/test_plain_models.py``). Whatever is not listed is tried for real.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from frugalfl_server.export.lint.subject import subject_of
from frugalfl_server.export.record_calls import Trace, TracedCall, place_of

if TYPE_CHECKING:
    import torch

#: Axes of ``(1, features)`` and ``(1, channels, height, width)``.
_ROW, _IMAGE = 2, 4


def is_plain(module: torch.nn.Module, input_shape: tuple[int, ...]) -> bool:
    """Say whether a model consists of layers that are known to convert, and of nothing else.

    Args:
        module: Left as it was.
        input_shape: Shape of one row as PyTorch takes it, without the batch.

    Raises:
        ExportError: The model does not run on such a row.
    """
    import torch

    seen = subject_of(module, input_shape).trace
    whole = isinstance(seen.output, torch.Tensor) and seen.output.ndim == _ROW
    known_input = len(input_shape) + 1 in (_ROW, _IMAGE)
    return known_input and whole and bool(seen.calls) and not _unusual(seen)


def unusual(module: torch.nn.Module, input_shape: tuple[int, ...]) -> tuple[str, ...]:
    """Name what in a model is not plain: ``up (ConvTranspose2d), model.py:12``.

    Args:
        module: As for :func:`is_plain`.
        input_shape: Likewise.

    Returns:
        Each place once, in the order of execution.
    """
    calls = _unusual(subject_of(module, input_shape).trace)
    return tuple(dict.fromkeys(map(place_of, calls)))


def _unusual(seen: Trace) -> list[TracedCall]:
    return [call for call in seen.calls if call.computes and not _is_plain(call)]


def _is_plain(call: TracedCall) -> bool:
    made = getattr(call.output, "dtype", None)
    known = made is not None and made.is_floating_point and call.name in PLAIN
    return known and PLAIN[call.name](call)


def _convolution(call: TracedCall) -> bool:
    from torch import nn

    layer = call.module
    if type(layer) is not nn.Conv2d or layer.padding_mode != "zeros":
        return False
    depthwise = layer.groups == layer.in_channels == layer.out_channels
    return layer.dilation == (1, 1) and (layer.groups == 1 or depthwise)


def _batch_norm(call: TracedCall) -> bool:
    from torch import nn

    kinds = (nn.BatchNorm1d, nn.BatchNorm2d)
    return type(call.module) in kinds and call.module.running_mean is not None


def _linear(call: TracedCall) -> bool:
    from torch import nn

    return type(call.module) is nn.Linear and call.tensors[0].ndim == _ROW


def _pool(call: TracedCall) -> bool:
    from torch import nn

    layer: Any = call.module
    if type(layer) not in (nn.MaxPool2d, nn.AvgPool2d):
        return False
    odd = (layer.ceil_mode, getattr(layer, "divisor_override", None))
    dilated = getattr(layer, "dilation", 1) not in (1, (1, 1))
    return layer.padding in (0, (0, 0)) and not any(odd) and not dilated


def _global_pool(call: TracedCall) -> bool:
    return tuple(call.output.shape[2:]) == (1, 1)


def _pad(call: TracedCall) -> bool:
    from torch import nn

    return type(call.module) is nn.ZeroPad2d and min(call.module.padding) >= 0


def _whole(call: TracedCall) -> bool:
    """Say whether a flatten makes a row of an image, and does not cut one in pieces."""
    return call.output.ndim == _ROW and len(call.output) == 1


def _sum(call: TracedCall) -> bool:
    shapes = {tuple(one.shape) for one in call.tensors}
    return len(call.tensors) == 2 and len(shapes) == 1 and call.output.ndim in (_ROW, _IMAGE)


def _relu6(call: TracedCall) -> bool:
    return (call.argument(1, "min_val", -1.0), call.argument(2, "max_val", 1.0)) == (0, 6)


def _any(_call: TracedCall) -> bool:
    return True


#: By the name of a PyTorch function: whether this call of it is plain.
PLAIN: Mapping[str, Callable[[TracedCall], bool]] = {
    "conv2d": _convolution,
    "batch_norm": _batch_norm,
    "linear": _linear,
    "relu": _any,
    "relu_": _any,
    "relu6": _any,
    "hardtanh": _relu6,
    "hardtanh_": _relu6,
    "max_pool2d": _pool,
    "avg_pool2d": _pool,
    "adaptive_avg_pool2d": _global_pool,
    "pad": _pad,
    "flatten": _whole,
    "dropout": lambda call: not call.argument(2, "training", True),
    "add": _sum,
    "__add__": _sum,
    "__iadd__": _sum,
}
