"""A net of the zoo as a Keras user would write it, with the weights of the PyTorch one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras
    import torch


def keras_twin(module: torch.nn.Module, row_shape: tuple[int, ...]) -> keras.Model:
    """Build the net in Keras and copy the weights, layer by layer.

    Padding that makes a convolution's output as large as its input, or half as large, is written
    ``padding="same"``, one-pixel-wide images as Conv1D: what Keras users do.

    Args:
        module: A trained ``Sequential`` of the zoo's kinds of layers.
        row_shape: Of one row as PyTorch takes it: channels first.

    Returns:
        A Keras model of rows as :func:`keras_rows` lays them out.
    """
    import keras

    wide = row_shape[:-1] if _is_line(row_shape) else row_shape
    row = keras.Input((*wide[1:], wide[0]))
    return keras.Model(row, _follow(module, row))


def keras_rows(x: np.ndarray) -> np.ndarray:
    """Turn PyTorch's rows into a twin's: channels last, images one pixel wide as lines."""
    x = x[..., 0] if _is_line(x.shape[1:]) else x
    return np.ascontiguousarray(np.moveaxis(x, 1, -1))


def _is_line(row_shape: tuple[int, ...]) -> bool:
    return len(row_shape) == 3 and row_shape[-1] == 1


def _follow(layers: Iterable[torch.nn.Module], x: Any) -> Any:
    """Apply the Keras layers that do what these do; each is called once, so it may be set here."""
    import keras

    padded = False
    for layer in layers:
        kind = type(layer).__name__
        match kind:
            case "ZeroPad2d":
                padded = True
                continue
            case "Conv1d" | "Conv2d":
                x = _convolve(layer, x, padded)
            case "BatchNorm1d" | "BatchNorm2d":
                x = _set(
                    keras.layers.BatchNormalization(epsilon=layer.eps), x,
                    layer.weight, layer.bias, layer.running_mean, layer.running_var,
                )  # fmt: skip
            case "Linear":
                x = _set(keras.layers.Dense(layer.out_features), x, _columns(layer, x), layer.bias)
            case "ReLU":
                x = keras.layers.ReLU()(x)
            case "MaxPool2d":
                x = keras.layers.MaxPooling2D(layer.kernel_size)(x)
            case "AvgPool1d" | "AvgPool2d":
                size = _first(layer.kernel_size)
                pool = "AveragePooling1D" if x.ndim == 3 else "AveragePooling2D"
                x = getattr(keras.layers, pool)(size)(x)
            case "Flatten":
                x = keras.layers.Flatten()(x)
            case "Residual":
                x = keras.layers.ReLU()(keras.layers.Add()([x, _follow(layer.body, x)]))
            case _:
                raise NotImplementedError(f"the zoo has no Keras layer for {kind}")
        padded = False
    return x


def _convolve(layer: Any, x: Any, padded: bool) -> Any:
    import keras

    kernel = layer.weight.detach()
    if x.ndim == 3 and kernel.ndim == 4:
        kernel = kernel[..., 0]
    rank, size, stride = kernel.ndim - 2, kernel.shape[2], _first(layer.stride)
    symmetric = _first(layer.padding)
    if symmetric and stride > 1:
        x = getattr(keras.layers, f"ZeroPadding{rank}D")(symmetric)(x)
    same = padded or (symmetric and stride == 1)
    options: dict[str, Any] = {
        "strides": stride,
        "padding": "same" if same else "valid",
        "use_bias": layer.bias is not None,
    }
    if layer.groups > 1:
        built = keras.layers.DepthwiseConv2D(size, **options)
        kernel = kernel.permute(2, 3, 0, 1)
    else:
        built = getattr(keras.layers, f"Conv{rank}D")(layer.out_channels, size, **options)
        kernel = kernel.permute(*range(2, kernel.ndim), 1, 0)
    return _set(built, x, kernel, *([] if layer.bias is None else [layer.bias]))


def _columns(layer: Any, x: Any) -> torch.Tensor:
    """Return a dense layer's weights for a flatten whose channels come last."""
    weights = layer.weight.detach()
    before = x._keras_history.operation
    if type(before).__name__ == "Flatten":
        *places, channels = before.input.shape[1:]
        first = weights.reshape(len(weights), channels, *places)
        weights = first.movedim(1, -1).reshape(len(weights), -1)
    return weights.T


def _set(built: Any, x: Any, *weights: torch.Tensor) -> Any:
    y = built(x)
    built.set_weights([weight.detach().numpy() for weight in weights])
    return y


def _first(size: Any) -> int:
    return int(size[0] if isinstance(size, tuple) else size)
