"""Derivatives of activations and of softmax."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from frugalfl_server.compiler.backward.steps import above_zero, above_zero_of_positive

if TYPE_CHECKING:
    import torch


def threshold_backward(gradient: torch.Tensor, result: torch.Tensor, threshold: float) -> Any:
    """ReLU; PyTorch keeps its result, which is nowhere negative."""
    if threshold != 0:
        return NotImplemented
    return gradient * above_zero_of_positive(result)


def hardtanh_backward(
    gradient: torch.Tensor, x: torch.Tensor, low: float, high: float
) -> torch.Tensor:
    """ReLU6 and hardtanh: 1 between the bounds, 0 on them."""
    return gradient * (above_zero(x - low) * above_zero(high - x))


def hardsigmoid_backward(gradient: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """One sixth between -3 and 3."""
    return gradient * (above_zero(x + 3) * above_zero(3 - x) * (1 / 6))


def hardswish_backward(gradient: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """0 below -3, 1 above 3, x / 3 + 1 / 2 between."""
    between = above_zero(x + 3) * above_zero(3 - x)
    return gradient * (above_zero(x - 3) + between * (x * (1 / 3) + 0.5))


def leaky_relu_backward(
    gradient: torch.Tensor, x: torch.Tensor, slope: float, from_result: bool
) -> torch.Tensor:
    """The slope below 0, 1 above."""
    return gradient * (above_zero(x) * (1 - slope) + slope)


def sigmoid_backward(gradient: torch.Tensor, result: torch.Tensor) -> torch.Tensor:
    """The result times one minus it."""
    return gradient * (result * (1 - result))


def tanh_backward(gradient: torch.Tensor, result: torch.Tensor) -> torch.Tensor:
    """One minus the result's square."""
    return gradient * (1 - result * result)


def log_softmax_backward(
    gradient: torch.Tensor, result: torch.Tensor, axis: int, dtype: Any
) -> torch.Tensor:
    """The gradient minus softmax times its sum."""
    return gradient - result.exp() * gradient.sum(axis, keepdim=True)


def softmax_backward(
    gradient: torch.Tensor, result: torch.Tensor, axis: int, dtype: Any
) -> torch.Tensor:
    """The result times the gradient minus their product's sum."""
    return result * (gradient - (gradient * result).sum(axis, keepdim=True))


def silu_backward(gradient: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """With s the sigmoid: s (1 + x (1 - s))."""
    share = x.sigmoid()
    return gradient * (share * (1 + x * (1 - share)))


def hardtanh(x: torch.Tensor, low: float = -1.0, high: float = 1.0) -> Any:
    """Between 0 and 1 the converter would write RELU_0_TO_1, which TFLite-Micro lacks."""
    if (low, high) != (0, 1):
        return NotImplemented
    return (x * 6).clamp(0, 6) * (1 / 6)


def clamp(x: torch.Tensor, low: float | None = None, high: float | None = None) -> Any:
    """The same."""
    if (low, high) != (0, 1):
        return NotImplemented
    return hardtanh(x, 0, 1)
