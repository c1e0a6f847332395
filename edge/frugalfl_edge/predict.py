"""Rows of float32 in, rows of float32 out, whatever numbers the model computes in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from frugalfl.errors import UsageError
from frugalfl_edge.interpreter import Array, Interpreter, ModelSource, TensorInfo

FloatArray = npt.NDArray[np.float32]


def predict(model: Interpreter | ModelSource, x: npt.ArrayLike) -> FloatArray:
    """Predict rows.

    Args:
        model: A loaded model, or the path or bytes of a .tflite file.
        x: Shape ``(rows, *input shape without batch)``; an exported image model is channels last.

    Returns:
        Outputs, float32, shape ``(rows, *output shape without batch)``.

    Raises:
        UsageError: Rows of another shape, or a model that cannot be loaded.
        MissingExtraError: No TFLite runtime is installed.

    Example:
        >>> predict("model_int8_edge.tflite", images).argmax(axis=1)  # doctest: +SKIP
    """
    loaded = model if isinstance(model, Interpreter) else Interpreter(model)
    rows = np.asarray(x, dtype=np.float32)
    _check_shape(rows, loaded.input.shape)
    return dequantize(run_rows(loaded, quantize(rows, loaded.input)), loaded.output)


def run_rows(model: Interpreter, x: Array) -> Array:
    """Run rows in the model's own numbers.

    Args:
        model: A loaded model.
        x: Shape ``(rows, *input shape without batch)``, the input's dtype.

    Returns:
        Shape ``(rows, *output shape without batch)``, the output's dtype.
    """
    batch = model.input.shape[0]
    outputs = np.empty((len(x), *model.output.shape[1:]), model.output.dtype)
    for start in range(0, len(x), batch):
        chunk = x[start : start + batch]
        missing = batch - len(chunk)
        if missing:
            # A model has one batch size: the last, short batch is filled up and cut again.
            chunk = np.concatenate([chunk, np.repeat(chunk[-1:], missing, axis=0)])
        outputs[start : start + batch] = model.run(chunk)[: batch - missing]
    return outputs


def quantize(x: FloatArray, tensor: TensorInfo) -> Array:
    """Turn real values into a tensor's own numbers: steps of its scale, or the values themselves.

    Values beyond the tensor's range saturate, as they do on the device.
    """
    if tensor.scale == 0.0:
        return x.astype(tensor.dtype, copy=False)
    limits = np.iinfo(tensor.dtype)
    steps = np.rint(x / np.float32(tensor.scale)) + tensor.zero_point
    saturated: Array = np.clip(steps, limits.min, limits.max).astype(tensor.dtype)
    return saturated


def dequantize(x: Array, tensor: TensorInfo) -> FloatArray:
    """Turn a tensor's own numbers into real values, float32."""
    if tensor.scale == 0.0:
        return x.astype(np.float32, copy=False)
    steps = x.astype(np.float32) - np.float32(tensor.zero_point)
    return steps * np.float32(tensor.scale)


def _check_shape(x: FloatArray, shape: tuple[int, ...]) -> None:
    if x.ndim and x.shape[1:] == shape[1:]:
        return
    hint = ""
    if x.ndim == len(shape) == 4 and (*x.shape[2:], x.shape[1]) == shape[1:]:
        hint = "; it is channels last: x.transpose(0, 2, 3, 1)"
    if x.ndim == 3 and (x.shape[2], 1, x.shape[1]) == shape[1:]:
        hint = "; it is channels last: x.transpose(0, 2, 1)[:, :, None]"
    raise UsageError(f"rows have shape {x.shape[1:]}, the model takes {shape[1:]}{hint}")
