"""The gradients of a convolution as convolutions: CONV_2D and DEPTHWISE_CONV_2D, and few others.

The gradient of the weights is the correlation of the input with the output's gradient, so the two
take the places of input and kernel, rows and channels change places, and stride and dilation too.
The gradient of the input is the correlation of the output's gradient, with zeros between its values
where the stride was above 1, with the flipped kernel (Dumoulin and Visin 2016, section 4): a
TRANSPOSE_CONV, where one exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from frugalfl.errors import ExportError

if TYPE_CHECKING:
    import torch

Pair = Sequence[int]
_SERIES_RANK, _IMAGES_RANK = 3, 4


def convolution(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    transposed: bool,
    output_padding: Pair,
    groups: int,
) -> Any:
    """Write a 1-D convolution as a 2-D one, and a grouped one as one a group.

    A depthwise convolution has an operator of its own, a grouped one has none in TFLite-Micro.
    """
    import torch

    if transposed:
        return NotImplemented
    if x.ndim > _IMAGES_RANK:
        raise ExportError("a 3-D convolution cannot be trained on a device; write nn.Conv2d")
    if x.ndim == _SERIES_RANK:
        image = torch.ops.aten.convolution(
            x[..., None], weight[..., None], bias, [*stride, 1], [*padding, 0], [*dilation, 1],
            False, [0, 0], groups,
        )  # fmt: skip
        return image[..., 0]
    if groups == 1 or groups == x.shape[1]:
        return NotImplemented
    parts = zip(x.chunk(groups, 1), weight.chunk(groups, 0), strict=True)
    outputs = torch.cat([_correlate(*part, stride, padding, dilation) for part in parts], 1)
    return outputs if bias is None else outputs + bias[:, None, None]


def convolution_backward(
    gradient: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    bias_sizes: Sequence[int] | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    transposed: bool,
    output_padding: Pair,
    groups: int,
    wanted: Sequence[bool],
) -> tuple[torch.Tensor | None, ...]:
    """Return the gradients of input, weights and bias, as far as they are wanted.

    Args:
        gradient: Of the output, shape ``(rows, outputs, *output size)``.
        x: Shape ``(rows, inputs, *size)``.
        weight: Shape ``(outputs, inputs / groups, *kernel)``.
        bias_sizes: Not used.
        stride: One number an axis, as the next three.
        padding: Zeros at both ends.
        dilation: Steps between the kernel's values.
        transposed: Refused.
        output_padding: Not used.
        groups: As in ``torch.nn.Conv2d``.
        wanted: Which of the three.

    Raises:
        ExportError: The convolution is a transposed one.
    """
    if transposed:
        raise ExportError(
            "a transposed convolution cannot be trained on a device; "
            "write nn.Upsample(scale_factor=2) and nn.Conv2d"
        )
    if x.ndim == _SERIES_RANK:
        images = convolution_backward(
            gradient[..., None], x[..., None], weight[..., None], bias_sizes, [*stride, 1],
            [*padding, 0], [*dilation, 1], transposed, output_padding, groups, wanted,
        )  # fmt: skip
        of_x, of_weight, of_bias = images
        return (
            None if of_x is None else of_x[..., 0],
            None if of_weight is None else of_weight[..., 0],
            of_bias,
        )
    geometry = (stride, padding, dilation, groups)
    return (
        of_input(gradient, weight, x.shape, *geometry) if wanted[0] else None,
        _of_weight(gradient, x, weight.shape, *geometry) if wanted[1] else None,
        gradient.sum((0, 2, 3)) if wanted[2] else None,
    )


def of_input(
    gradient: torch.Tensor,
    weight: torch.Tensor,
    shape: Sequence[int],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> torch.Tensor:
    """Return the gradient of the input of a 2-D convolution; arguments as above."""
    import torch

    if 1 < groups < shape[1]:
        part = (shape[0], shape[1] // groups, *shape[2:])
        pairs = zip(gradient.chunk(groups, 1), weight.chunk(groups, 0), strict=True)
        return torch.cat([of_input(*pair, part, stride, padding, dilation, 1) for pair in pairs], 1)
    if groups > 1 and len(weight) > groups:
        return _of_multiplied_input(gradient, weight, shape, stride, padding, dilation, groups)
    if groups == 1 and max(stride) > 1 and max(dilation) == 1:
        # TRANSPOSE_CONV puts in no zeros to multiply with: six times faster than what follows.
        whole = torch.conv_transpose2d(gradient, weight, stride=list(stride))
        after = [shape[2 + i] + padding[i] - whole.shape[2 + i] for i in (0, 1)]
        return _padded(whole, [-padding[0], -padding[1]], after)
    spread = _with_zeros_between(gradient, stride)
    before, after = [], []
    for axis in (0, 1):
        reach = dilation[axis] * (weight.shape[2 + axis] - 1)
        before.append(reach - padding[axis])
        after.append(shape[2 + axis] + padding[axis] - spread.shape[2 + axis])
    spread = _padded(spread, before, after)
    # One axis at a time: tflite-runtime 2.14 reverses the first of several axes, and is silent.
    flipped = weight if weight.shape[2:] == (1, 1) else weight.flip(2).flip(3)
    if groups == 1:
        flipped = flipped.transpose(0, 1)
    return torch.conv2d(spread, flipped, dilation=list(dilation), groups=groups)


def _of_multiplied_input(
    gradient: torch.Tensor, weight: torch.Tensor, shape: Sequence[int],
    stride: Pair, padding: Pair, dilation: Pair, groups: int,
) -> torch.Tensor:  # fmt: skip
    """Add up the gradients through each of a depthwise convolution's outputs of an input."""
    rows, outputs, *size = gradient.shape
    times = outputs // groups
    apart = gradient.reshape(rows * groups, times, *size)
    kernels = weight.reshape(groups, times, *weight.shape[2:])
    parts = [
        of_input(
            apart[:, one].reshape(rows, groups, *size), kernels[:, one : one + 1], shape,
            stride, padding, dilation, groups,
        )
        for one in range(times)
    ]  # fmt: skip
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _of_weight(
    gradient: torch.Tensor, x: torch.Tensor, shape: Sequence[int],
    stride: Pair, padding: Pair, dilation: Pair, groups: int,
) -> torch.Tensor:  # fmt: skip
    import torch

    rows, inputs = x.shape[:2]
    height, width = shape[2:]
    if 1 < groups < inputs:
        part = (shape[0] // groups, *shape[1:])
        pairs = zip(gradient.chunk(groups, 1), x.chunk(groups, 1), strict=True)
        return torch.cat([_of_weight(*pair, part, stride, padding, dilation, 1) for pair in pairs])
    if groups > 1:
        # Every row's channel is a channel of its own; the rows are added up afterwards.
        images = x.reshape(1, rows * inputs, *x.shape[2:])
        kernels = gradient.reshape(rows * shape[0], 1, *gradient.shape[2:])
        found = _correlate(images, kernels, dilation, padding, stride, rows * inputs)
        found = found[..., :height, :width].reshape(rows, shape[0], height, width)
        return found.sum(0)[:, None]
    found = _correlate(x.transpose(0, 1), gradient.transpose(0, 1), dilation, padding, stride)
    return found[..., :height, :width].transpose(0, 1)


def _correlate(
    x: torch.Tensor, weight: torch.Tensor, stride: Pair, padding: Pair, dilation: Pair,
    groups: int = 1,
) -> torch.Tensor:  # fmt: skip
    import torch

    return torch.conv2d(x, weight, None, list(stride), list(padding), list(dilation), groups)


def _with_zeros_between(x: torch.Tensor, stride: Pair) -> torch.Tensor:
    """Put ``stride - 1`` zeros between neighbours of the last two axes, with at most 4 axes."""
    from torch.nn.functional import pad

    rows, channels, height, width = x.shape
    if stride[0] > 1:
        x = pad(x.reshape(rows * channels, height, 1, width), (0, 0, 0, stride[0] - 1))
        x = x.reshape(rows, channels, height * stride[0], width)
        x = x[:, :, : (height - 1) * stride[0] + 1]
    if stride[1] > 1:
        high = x.shape[2]
        x = pad(x.reshape(rows * channels, high, width, 1), (0, stride[1] - 1))
        x = x.reshape(rows, channels, high, width * stride[1])
        x = x[..., : (width - 1) * stride[1] + 1]
    return x


def _padded(x: torch.Tensor, before: Pair, after: Pair) -> torch.Tensor:
    """Put zeros around, or cut off where the number is negative."""
    from torch.nn.functional import pad

    for axis in (0, 1):
        first, last = max(-before[axis], 0), max(-after[axis], 0)
        if first or last:
            x = x.narrow(2 + axis, first, x.shape[2 + axis] - first - last)
    widths = [max(one, 0) for one in (before[1], after[1], before[0], after[0])]
    return pad(x, widths) if any(widths) else x
