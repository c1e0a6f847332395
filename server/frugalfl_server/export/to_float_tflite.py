"""A PyTorch module to a float .tflite file that reads well on a microcontroller.

Six things are done to a copy of the module first, each because the converter leaves operators
behind otherwise, or cannot go on: evaluation mode, weights written out, one-dimensional
convolutions as two-dimensional ones, batch norms folded into the layers beside them, transposed
convolutions with paddings that TFLite knows, and channels-last inputs.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from frugalfl.errors import ExportError
from frugalfl.task import FloatArray
from frugalfl_server.export import flatbuffer
from frugalfl_server.export.as_2d import SERIES_RANK, as_2d
from frugalfl_server.export.batch_norm import IMAGE_RANK, fold_batch_norms
from frugalfl_server.export.cut_transposed import cut_transposed
from frugalfl_server.export.dense_bias import restore_biases
from frugalfl_server.export.explain_error import explain_errors
from frugalfl_server.export.fold_transposes import fold_transposes
from frugalfl_server.export.plain_convolution import plain_convolutions
from frugalfl_server.export.plain_weights import write_out_weights
from frugalfl_server.export.quiet import quiet
from frugalfl_server.export.record_calls import trace

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PreparedModel:
    """A module as the converter gets it.

    Attributes:
        module: Computes the same as the author's.
        example: One row that it takes, channels first.
    """

    module: torch.nn.Module
    example: torch.Tensor


def convert(module: torch.nn.Module, input_shape: tuple[int, ...]) -> bytes:
    """Convert a module, for one row at a time.

    Args:
        module: Float module with one input and one output; left as it was.
        input_shape: Shape of one row as PyTorch takes it, without the batch: ``(1, 8, 8)``.

    Returns:
        A float32 .tflite file with batch 1. A row of three axes is channels last in it, and so is
        a row ``(channels, length)`` of a 1-D CNN: :func:`to_model_layout` turns PyTorch's rows
        into the file's.

    Raises:
        ExportError: The module does not run on such a row, has NaN weights, returns something
            else than one tensor, or has an operator that cannot be converted.
        MissingExtraError: litert-torch is not installed.
    """
    prepared = prepare(module, input_shape)
    with explain_errors(f"{type(module).__name__} cannot be converted to TFLite"), quiet():
        converted = _run_converter(prepared)
    restored = restore_biases(converted, trace(prepared.module, prepared.example))
    return plain_convolutions(fold_transposes(restored))


def prepare(module: torch.nn.Module, input_shape: tuple[int, ...]) -> PreparedModel:
    """Check a module, and rewrite a copy of it to what converts best.

    Args:
        module: Left as it was.
        input_shape: Shape of one row as PyTorch takes it, without the batch.

    Raises:
        ExportError: As :func:`convert`.
    """
    import torch

    plain = write_out_weights(copy.deepcopy(module).cpu().float().eval())
    example = torch.rand(1, *input_shape, generator=torch.Generator().manual_seed(0))
    _check(plain, example)
    twin = as_2d(plain, example)
    if twin is not None:
        plain, example = twin, example[..., None]
    return PreparedModel(cut_transposed(fold_batch_norms(plain, example)), example)


def to_model_layout(x: FloatArray, model: bytes) -> FloatArray:
    """Turn PyTorch's rows into an exported model's: channels last where it takes four axes.

    Args:
        x: Shape ``(rows, channels, height, width)``, ``(rows, channels, length)``, or any other
            that the model takes as it is.
        model: The .tflite file, float or int8.

    Returns:
        Shape ``(rows, height, width, channels)`` or ``(rows, length, 1, channels)``; any other
        shape stays as it is.
    """
    if len(flatbuffer.input_shape(model)) != IMAGE_RANK or x.ndim not in (SERIES_RANK, IMAGE_RANK):
        return x
    images = x[..., None] if x.ndim == SERIES_RANK else x
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))


def _check(module: torch.nn.Module, example: torch.Tensor) -> None:
    import torch

    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ExportError(
                f"{name} holds NaN or infinity; its training went wrong: use a smaller step size"
            )
    output = trace(module, example.clone()).output
    if not isinstance(output, torch.Tensor):
        raise ExportError(
            f"the model returns a {type(output).__name__}; it must return one tensor: "
            "return the one that the device needs"
        )
    if not output.is_floating_point():
        return
    if not torch.isfinite(output).all():
        raise ExportError("the model's outputs are NaN or infinite; its training went wrong")


def _run_converter(prepared: PreparedModel) -> bytes:
    import litert_torch

    module, example = prepared.module, prepared.example
    if example.ndim == IMAGE_RANK:
        # The wrapper starts in training mode, whatever it wraps.
        module = litert_torch.to_channel_last_io(module, args=[0]).eval()
        example = example.permute(0, 2, 3, 1)
    return bytes(litert_torch.convert(module, (example,)).model_content())
