"""Derivatives of activations, of softmax and of dense embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from frugalfl_server.compiler.backward.steps import above_zero, above_zero_of_positive, one_hot

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
    """y (1 - y)."""
    return gradient * (result * (1 - result))


def tanh_backward(gradient: torch.Tensor, result: torch.Tensor) -> torch.Tensor:
    """1 - y²."""
    return gradient * (1 - result * result)


def log_softmax_backward(
    gradient: torch.Tensor, result: torch.Tensor, axis: int, dtype: Any
) -> torch.Tensor:
    """g - softmax Σg."""
    return gradient - result.exp() * gradient.sum(axis, keepdim=True)


def softmax_backward(
    gradient: torch.Tensor, result: torch.Tensor, axis: int, dtype: Any
) -> torch.Tensor:
    """y (g - Σ g y)."""
    return result * (gradient - (gradient * result).sum(axis, keepdim=True))


def embedding(
    weight: torch.Tensor,
    numbers: torch.Tensor,
    padding: int = -1,
    scale: bool = False,
    sparse: bool = False,
) -> torch.Tensor:
    """Rows of a table, as a product with zeros and ones: right for tables of a few hundred rows."""
    chosen = one_hot(numbers, len(weight)).reshape(-1, len(weight))
    return (chosen @ weight).reshape(*numbers.shape, -1)


def embedding_dense_backward(
    gradient: torch.Tensor, numbers: torch.Tensor, rows: int, padding: int, scale: bool
) -> torch.Tensor:
    """Add each gradient to its row of the table; the row of the padding gets none."""
    chosen = one_hot(numbers, rows).reshape(-1, rows)
    total = chosen.t() @ gradient.reshape(-1, gradient.shape[-1])
    if padding < 0:
        return total
    return total * (1 - one_hot(numbers.new_full((), padding), rows))[:, None]
