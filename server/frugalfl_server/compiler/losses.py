"""Losses as weighted means over rows, so that the padding of a ragged last batch does not count.

A task's loss is called as it is written; PyTorch's loss functions in it are replaced by weighted
ones. A loss of other operators is applied row by row instead. Which way is right is found out by
trying: padded rows must not change the value.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from frugalfl.errors import ExportError
from frugalfl.task import Loss
from frugalfl_server.compiler.backward.steps import one_hot

if TYPE_CHECKING:
    import torch

#: ``(outputs, targets, row weights) -> loss``.
WeightedLoss = Callable[["torch.Tensor", "torch.Tensor", "torch.Tensor"], "torch.Tensor"]
_TOLERANCE = 1e-5
_MATRIX_RANK = 2


def weighted(
    loss: str | Loss, outputs: torch.Tensor, targets: torch.Tensor, padded: int
) -> WeightedLoss:
    """Return a loss with row weights that equals the task's on the rows that count.

    Args:
        loss: ``"cross_entropy"`` or a function, as of a task.
        outputs: Of the model, for a batch of some rows.
        targets: Of the same rows; int32 class numbers or float32 values.
        padded: How many rows to leave out in the trial, fewer than there are.

    Raises:
        ExportError: The loss is not a mean over rows.
    """
    import torch

    plain = torch.nn.functional.cross_entropy if isinstance(loss, str) else loss
    kept = len(outputs) - padded
    weights = (torch.arange(len(outputs)) < kept).float()
    wide = targets[:kept] if targets.is_floating_point() else targets[:kept].long()
    expected = plain(outputs[:kept], wide)
    reasons = []
    for way in (_replaced, _row_by_row):
        candidate = way(plain)
        try:
            found = candidate(outputs, targets, weights)
        except ExportError:
            raise
        except Exception as error:
            reasons.append(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
            continue
        if found.shape == expected.shape == () and torch.allclose(found, expected, _TOLERANCE):
            return candidate
        reasons.append(f"{found} for {expected}")
    raise ExportError(
        "the task's loss is not a mean over the rows of a batch, so that a short batch cannot be "
        f"padded ({'; '.join(reasons)}); write it with torch.nn.functional's losses"
    )


def _replaced(loss: Loss) -> WeightedLoss:
    def compute(
        outputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        with _mode()(weights):
            return loss(outputs, targets)

    return compute


def _row_by_row(loss: Loss) -> WeightedLoss:
    import torch

    def compute(
        outputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        def of_row(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            with _mode()(torch.ones(1)):
                return loss(output[None], target[None])

        return (weights * torch.vmap(of_row)(outputs, targets)).sum() / weights.sum()

    return compute


@cache
def _mode() -> Any:
    """Return a class of modes that replace PyTorch's losses by weighted ones."""
    from torch.nn import functional
    from torch.overrides import TorchFunctionMode

    elementwise = (
        functional.mse_loss, functional.l1_loss, functional.smooth_l1_loss, functional.huber_loss,
        functional.binary_cross_entropy, functional.binary_cross_entropy_with_logits,
    )  # fmt: skip
    signatures = {
        function: inspect.signature(function)
        for function in (*elementwise, functional.cross_entropy, functional.nll_loss)
    }

    class Weighted(TorchFunctionMode):
        def __init__(self, weights: torch.Tensor) -> None:
            super().__init__()
            self._weights = weights

        def __torch_function__(
            self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            kwargs = kwargs or {}
            if func not in signatures:
                return func(*args, **kwargs)
            given = signatures[func].bind(*args, **kwargs)
            given.apply_defaults()
            options = given.arguments
            if options["reduction"] != "mean":
                return func(*args, **kwargs)
            if func in elementwise:
                values = func(*args, **{**kwargs, "reduction": "none"})
                return _mean(values, self._weights)
            if func is functional.cross_entropy:
                options["input"] = functional.log_softmax(options["input"], 1)
            return _of_log_probabilities(options, self._weights)

    return Weighted


def _mean(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    rows = values.reshape(len(values), -1).mean(1) if values.ndim > 1 else values
    return (weights * rows).sum() / weights.sum()


def _of_log_probabilities(options: dict[str, Any], weights: torch.Tensor) -> torch.Tensor:
    """Cross-entropy with class weights and label smoothing, as PyTorch defines them."""
    logs, targets, classes = options["input"], options["target"], options["weight"]
    smoothing = options.get("label_smoothing", 0.0)
    if logs.ndim != _MATRIX_RANK:
        raise ExportError(
            f"cross_entropy of outputs with {logs.ndim} axes; a training program takes (rows, "
            "classes): flatten the others into rows"
        )
    count = logs.shape[1]
    numbered = not targets.is_floating_point()
    wanted = one_hot(targets, count) if numbered else targets
    total = weights.sum()
    if numbered and classes is not None:
        total = (weights * (wanted @ classes)).sum()
    if smoothing:
        wanted = wanted * (1 - smoothing) + smoothing / count
    if classes is not None:
        wanted = wanted * classes
    loss: torch.Tensor = -(weights * (wanted * logs).sum(1)).sum() / total
    return loss
