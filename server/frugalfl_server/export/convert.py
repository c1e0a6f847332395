"""A PyTorch module to a float .tflite file that reads well on a microcontroller.

Three things are done to the module first, each because the converter leaves operators behind
otherwise: evaluation mode, batch norms folded into the layer before them (the converter folds
2-D ones only), and channels-last inputs (no TRANSPOSE in front of the first convolution).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from frugalfl.errors import ExportError
from frugalfl.task import FloatArray
from frugalfl_server.export.explain import explained
from frugalfl_server.export.fold import fold_flatten
from frugalfl_server.export.plain_convolution import plain_convolutions
from frugalfl_server.export.quiet import quiet

if TYPE_CHECKING:
    import torch

#: ``(channels, height, width)``: the rank of one row that is turned to channels last.
IMAGE_RANK = 3


def convert(module: torch.nn.Module, input_shape: tuple[int, ...]) -> bytes:
    """Convert a module, for one row at a time.

    Args:
        module: Float module with one input and one output; left as it was.
        input_shape: Shape of one row as PyTorch takes it, without the batch: ``(1, 8, 8)``.

    Returns:
        A float32 .tflite file with batch 1. A row of three axes is channels last in it:
        :func:`to_model_layout` turns PyTorch's rows into the file's.

    Raises:
        ExportError: The module does not run on such a row, or has an operator that cannot be
            converted.
        MissingExtraError: litert-torch is not installed.
    """
    plain = copy.deepcopy(module).cpu().float().eval()
    example = _example(input_shape)
    _check_runs(plain, example)
    prepared = _fold_batch_norms(plain, example)
    with explained(f"{type(module).__name__} cannot be converted to TFLite"), quiet():
        converted = _run_converter(prepared, example)
    return plain_convolutions(fold_flatten(converted))


def to_model_layout(x: FloatArray) -> FloatArray:
    """Turn PyTorch's rows into an exported model's: channels last where a row has three axes.

    Args:
        x: Shape ``(rows, channels, height, width)``, or any other rank, which stays as it is.
    """
    if x.ndim == IMAGE_RANK + 1:
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    return x


def _example(input_shape: tuple[int, ...]) -> torch.Tensor:
    import torch

    return torch.rand(1, *input_shape, generator=torch.Generator().manual_seed(0))


def _check_runs(module: torch.nn.Module, example: torch.Tensor) -> None:
    import torch

    shape = tuple(example.shape)
    with explained(f"the model does not run on an input of shape {shape}"), torch.no_grad():
        output = module(example)
    if not isinstance(output, torch.Tensor):
        raise ExportError(f"the model returns a {type(output).__name__}; it must return one tensor")
    if not torch.isfinite(output).all():
        raise ExportError("the model's outputs are NaN or infinite; its training went wrong")


def _fold_batch_norms(module: torch.nn.Module, example: torch.Tensor) -> torch.nn.Module:
    """Fold batch norms where that is possible; without it the file is slower, and just as right."""
    import torch
    from torch.fx.experimental.optimization import fuse
    from torch.nn.modules.batchnorm import _BatchNorm

    if not any(isinstance(layer, _BatchNorm) for layer in module.modules()):
        return module
    with torch.no_grad():
        try:
            folded = fuse(copy.deepcopy(module), inplace=True)
            same = torch.allclose(folded(example), module(example), rtol=1e-3, atol=1e-4)
        except Exception:
            return module  # torch.fx cannot follow this model's control flow
    # One convolution in front of two batch norms cannot take in both.
    return folded if same else module


def _run_converter(module: torch.nn.Module, example: torch.Tensor) -> bytes:
    import litert_torch

    if example.ndim == IMAGE_RANK + 1:
        # The wrapper starts in training mode, whatever it wraps.
        module = litert_torch.to_channel_last_io(module, args=[0]).eval()
        example = example.permute(0, 2, 3, 1)
    return bytes(litert_torch.convert(module, (example,)).model_content())
