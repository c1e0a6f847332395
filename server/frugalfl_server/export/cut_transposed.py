"""A transposed convolution with any padding, as the one without padding and a cut behind it.

TFLite's TRANSPOSE_CONV knows two paddings: none, and one with which the output is just ``stride``
times as large as the input. PyTorch's ``padding`` leaves out so many places at both ends of what is
computed without, and ``output_padding`` brings back some of those at the far end, and then adds
empty ones, which the converter knows. A cut does the rest.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import torch


def cut_transposed(module: torch.nn.Module) -> torch.nn.Module:
    """Return a module in which transposed convolutions have paddings that TFLite knows.

    Args:
        module: Left as it was.

    Returns:
        A copy that computes the same; the module itself if nothing has to be cut. Dilated layers
        stay as they are.
    """
    if not any(map(can_be_cut, module.modules())):
        return module
    twin = copy.deepcopy(module)
    # A layer may stand in several places.
    named = list(twin.named_modules(remove_duplicate=False))
    cut = {id(one): _cut(one) for _, one in named if can_be_cut(one)}
    for path, layer in named:
        if id(layer) in cut:
            if not path:
                return cut[id(layer)]
            twin.set_submodule(path, cut[id(layer)])
    return twin


def can_be_cut(layer: Any) -> bool:
    """Say whether a layer is a transposed convolution that has to be cut, and can be."""
    from torch import nn

    if type(layer) not in (nn.ConvTranspose1d, nn.ConvTranspose2d):
        return False
    return all(one == 1 for one in layer.dilation) and not is_native(
        layer.kernel_size, layer.stride, layer.padding, layer.output_padding
    )


def is_native(
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    output_padding: tuple[int, ...],
) -> bool:
    """Say whether TFLite knows a padding; all arguments by axis, without dilation."""
    sizes = zip(kernel, stride, padding, strict=True)
    evenly = all(size - 2 * left_out == step for size, step, left_out in sizes)
    return not any(padding) or (evenly and not any(output_padding))


def _cut(layer: Any) -> torch.nn.Module:
    from torch import nn

    class CutTransposed(nn.Module):
        """The whole output, then what is left of it."""

        def __init__(self) -> None:
            super().__init__()
            self.whole = copy.deepcopy(layer)
            self.whole.padding = (0,) * len(layer.padding)

        @property
        def weight(self) -> torch.Tensor:
            """The layer's, for a model that reads it."""
            return cast("torch.Tensor", self.whole.weight)

        @property
        def bias(self) -> torch.Tensor | None:
            """The layer's."""
            return cast("torch.Tensor | None", self.whole.bias)

        def forward(self, x: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
            back = layer._output_padding(
                x, output_size, layer.stride, layer.padding, layer.kernel_size,
                len(layer.padding), layer.dilation,
            ) if output_size else layer.output_padding  # fmt: skip
            # Places that go at the far end; below 0: empty ones that come.
            gone = [p - more for p, more in zip(layer.padding, back, strict=True)]
            self.whole.output_padding = tuple(max(-one, 0) for one in gone)
            y: torch.Tensor = self.whole(x)
            for axis, (first, last) in enumerate(zip(layer.padding, gone, strict=True), 2):
                y = y.narrow(axis, first, y.shape[axis] - first - max(last, 0))
            return y

    return CutTransposed().eval()
