"""Derivatives of pooling without indices: TFLite has no operator that gives or takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from frugalfl.errors import ExportError
from frugalfl_server.compiler.backward.convolution import of_input
from frugalfl_server.compiler.backward.steps import above_zero, above_zero_of_positive

if TYPE_CHECKING:
    import torch

Pair = Sequence[int]


def avg_pool2d(
    x: torch.Tensor,
    kernel: Pair,
    stride: Pair = (),
    padding: Pair = (0, 0),
    ceil_mode: bool = False,
    count_padding: bool = True,
    divisor: int | None = None,
) -> Any:
    """An average without the padding, as one with it and its share of real values."""
    import torch

    if count_padding or divisor is not None or not any(_pair(padding)):
        return NotImplemented
    options = (kernel, stride, padding, ceil_mode, True)
    ones = torch.ones(1, 1, *x.shape[2:])
    return torch.ops.aten.avg_pool2d(x, *options) / torch.ops.aten.avg_pool2d(ones, *options)


def upsample_nearest2d_backward(
    gradient: torch.Tensor, size: Pair, shape: Sequence[int], *_scales: Any
) -> torch.Tensor:
    """Add up the gradients of every copy."""
    rows, channels, height, width = shape
    if size[0] % height or size[1] % width:
        raise ExportError("upsampling by no whole number cannot be trained on a device; scale by 2")
    tall, wide = size[0] // height, size[1] // width
    tiles = gradient.reshape(rows * channels * height, tall, width, wide)
    total: torch.Tensor = tiles.sum((1, 3)).reshape(rows, channels, height, width)
    return total


def avg_pool2d_backward(
    gradient: torch.Tensor,
    x: torch.Tensor,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_padding: bool,
    divisor: int | None,
) -> torch.Tensor:
    """Share each gradient among the values of its window."""
    import torch

    size = _pair(kernel)
    steps = _pair(stride or kernel)
    around = _pair(padding)
    _refuse_ceil(ceil_mode, x.shape, size, steps, around)
    if divisor is None and any(around) and not count_padding:
        inside = torch.ones(1, 1, *x.shape[2:])
        ones = torch.ones(1, 1, *size)
        gradient = gradient / torch.conv2d(inside, ones, stride=steps, padding=around)
        share = 1.0
    else:
        share = 1 / (divisor or size[0] * size[1])
    if tuple(gradient.shape[2:]) == (1, 1) and not any(around) and tuple(x.shape[2:]) == size:
        spread: torch.Tensor = (gradient * share).expand(x.shape)
        return spread
    if size == steps and not any(around):
        return _filled(_repeated(gradient * share, size), x.shape)
    channels = x.shape[1]
    ones = torch.full((channels, 1, *size), share)
    return of_input(gradient, ones, x.shape, steps, around, (1, 1), channels)


def adaptive_avg_pool2d(x: torch.Tensor, size: Pair) -> torch.Tensor:
    """Write it as an average over windows of one size."""
    import torch

    pooled: torch.Tensor = torch.ops.aten.avg_pool2d(x, _windows(x, size))
    return pooled


def adaptive_avg_pool2d_backward(gradient: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The same, backwards."""
    kernel = _windows(x, gradient.shape[2:])
    return avg_pool2d_backward(gradient, x, kernel, kernel, (0, 0), False, True, None)


def max_pool2d_with_indices_backward(
    gradient: torch.Tensor,
    x: torch.Tensor,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    ceil_mode: bool,
    indices: Any,
) -> torch.Tensor:
    """Give each gradient to the first of the largest values of its window, as PyTorch does."""
    size, steps, around = _pair(kernel), _pair(stride or kernel), _pair(padding)
    _refuse_ceil(ceil_mode, x.shape, size, steps, around)
    if _pair(dilation) != (1, 1):
        raise ExportError("max pooling with dilation cannot be trained on a device; use dilation=1")
    if size == steps and not any(around):
        return _of_tiles(gradient, x, size)
    return _of_windows(gradient, x, size, steps, around)


def _of_tiles(gradient: torch.Tensor, x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    rows, channels, height, width = gradient.shape
    tall, wide = size
    cut = x[:, :, : height * tall, : width * wide]
    # (windows, values of a window), with at most 4 axes on the way.
    tiles = cut.reshape(rows * channels * height, tall, width, wide).transpose(1, 2)
    tiles = tiles.reshape(-1, tall * wide)
    given = _first_largest(tiles) * gradient.reshape(-1, 1)
    back = given.reshape(rows * channels * height, width, tall, wide).transpose(1, 2)
    return _filled(back.reshape(cut.shape), x.shape)


def _of_windows(
    gradient: torch.Tensor, x: torch.Tensor, size: Pair, steps: Pair, around: Pair
) -> torch.Tensor:
    import torch
    from torch.nn.functional import pad

    rows, channels, height, width = gradient.shape
    lowest = torch.finfo(x.dtype).min
    wide = pad(x, (around[1], around[1], around[0], around[0]), value=lowest)
    places = [(i, j) for i in range(size[0]) for j in range(size[1])]
    shifted = [
        wide[
            :, :,
            i : i + (height - 1) * steps[0] + 1 : steps[0],
            j : j + (width - 1) * steps[1] + 1 : steps[1],
        ].reshape(-1, 1)
        for i, j in places
    ]  # fmt: skip
    given = _first_largest(torch.cat(shifted, 1)) * gradient.reshape(-1, 1)
    total = torch.zeros(())
    for number, (i, j) in enumerate(places):
        part = given[:, number].reshape(gradient.shape)
        one = torch.ones(channels, 1, 1, 1)
        shape = (rows, channels, wide.shape[2] - i, wide.shape[3] - j)
        total = total + pad(
            of_input(part, one, shape, steps, (0, 0), (1, 1), channels), (j, 0, i, 0)
        )
    high, broad = x.shape[2:]
    return total[:, :, around[0] : around[0] + high, around[1] : around[1] + broad]


def _first_largest(values: torch.Tensor) -> torch.Tensor:
    """Return 1 at the first of the largest values of each row of a matrix, 0 elsewhere."""
    import torch

    count = values.shape[1]
    largest = 1 - above_zero_of_positive(values.amax(1, keepdim=True) - values)
    order = torch.arange(count, dtype=torch.float32)
    earlier = above_zero(order - order[:, None])
    return largest * (1 - largest @ earlier).relu()


def _repeated(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    rows, channels, height, width = x.shape
    tall, wide = size
    spread = x.reshape(rows * channels * height, 1, width, 1)
    spread = spread.expand(rows * channels * height, tall, width, wide)
    return spread.reshape(rows, channels, height * tall, width * wide)


def _filled(x: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Put zeros where no window reached."""
    from torch.nn.functional import pad

    below, right = shape[2] - x.shape[2], shape[3] - x.shape[3]
    return pad(x, (0, right, 0, below)) if below or right else x


def _windows(x: torch.Tensor, size: Sequence[int]) -> tuple[int, int]:
    height, width = x.shape[2:]
    if height % size[0] or width % size[1]:
        raise ExportError(
            f"adaptive average pooling from {height}x{width} to {size[0]}x{size[1]} has windows of "
            "several sizes; choose an output size that divides the input's"
        )
    return height // size[0], width // size[1]


def _refuse_ceil(
    ceil_mode: bool, shape: Sequence[int], size: Pair, steps: Pair, around: Pair
) -> None:
    lengths = zip(shape[2:], size, steps, around, strict=True)
    if ceil_mode and any((n + 2 * p - k) % s for n, k, s, p in lengths):
        raise ExportError(
            "pooling with ceil_mode=True has windows that reach beyond the input; "
            "use ceil_mode=False, or pad with nn.ZeroPad2d"
        )


def _pair(size: Pair) -> tuple[int, int]:
    first, *others = size
    return int(first), int(others[0] if others else first)
