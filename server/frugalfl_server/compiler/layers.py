"""Layers that behave otherwise in training: batch norm and dropout, for a batch with padded rows.

A function mode replaces two PyTorch functions while the user's module runs. Batch norm takes its
statistics from the rows that count, and the new running statistics are written down instead of in
place; dropout multiplies with a mask that is an input of the program.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from frugalfl.errors import ExportError

if TYPE_CHECKING:
    import torch


class Training:
    """What one run of a module in training needs and leaves.

    Attributes:
        weights: Row weights, shape ``(rows,)``, float32.
        masks: Dropout masks in the order of use; None: this run finds out which are needed.
        needed: Shape and probability of each mask that was needed.
        statistics: New running statistics by name.
    """

    def __init__(
        self,
        weights: torch.Tensor,
        tensors: Mapping[str, torch.Tensor],
        masks: Sequence[torch.Tensor] | None = None,
    ) -> None:
        self.weights = weights
        self.masks = masks
        self.needed: list[tuple[tuple[int, ...], float]] = []
        self.statistics: dict[str, torch.Tensor] = {}
        self._names = {id(tensor): name for name, tensor in tensors.items()}

    def mode(self) -> Any:
        """Return the context in which the module is to run."""
        return _mode()(self)

    def batch_norm(self, options: dict[str, Any]) -> torch.Tensor:
        """Normalise (Ioffe and Szegedy 2015); in training, by the rows that count."""
        x, weight, bias = options["input"], options["weight"], options["bias"]
        shape = (1, -1, *[1] * (x.ndim - 2))
        if not options["training"]:
            mean, variance = options["running_mean"], options["running_var"]
            scale = _times((variance + options["eps"]).rsqrt(), weight)
            shift = -mean * scale if bias is None else bias - mean * scale
            fixed: torch.Tensor = x * scale.reshape(shape) + shift.reshape(shape)
            return fixed
        mean, centred, variance = self._statistics(x, shape)
        self._note(options, mean, variance, self.weights.sum() * x[0, 0].numel())
        scale = _times((variance + options["eps"]).rsqrt(), weight)
        result = centred * scale.reshape(shape)
        return result if bias is None else result + bias.reshape(shape)

    def _statistics(
        self, x: torch.Tensor, shape: tuple[int, ...]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        axes = [axis for axis in range(x.ndim) if axis != 1]
        rows = self.weights.reshape(-1, *[1] * (x.ndim - 1))
        rows = rows / (self.weights.sum() * x[0, 0].numel())
        mean = (x * rows).sum(axes)
        centred = x - mean.reshape(shape)
        return mean, centred, (centred * centred * rows).sum(axes)

    def _note(
        self, options: dict[str, Any], mean: torch.Tensor, variance: torch.Tensor, count: Any
    ) -> None:
        if options["running_mean"] is None:
            return
        # One value has no variance; without the other 1 a padded batch of one row gave NaN.
        unbiased = variance.detach() * (count / ((count - 2).relu() + 1))
        share = options["momentum"]
        for key, new in (("running_mean", mean.detach()), ("running_var", unbiased)):
            name = self._names[id(options[key])]
            old = self.statistics.get(name, options[key])
            self.statistics[name] = (1 - share) * old + share * new

    def dropout(self, x: torch.Tensor, drop: float, channels: bool) -> torch.Tensor:
        """Multiply with the next mask; whole channels share an entry in ``nn.Dropout2d``."""
        import torch

        if not drop:
            return x
        shape = (*x.shape[:2], *[1] * (x.ndim - 2)) if channels else tuple(x.shape)
        number = len(self.needed)
        self.needed.append((shape, float(drop)))
        return x * (torch.ones(shape) if self.masks is None else self.masks[number])


def _times(scale: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
    return scale if weight is None else scale * weight


@cache
def _mode() -> Any:
    from torch.nn import functional
    from torch.overrides import TorchFunctionMode

    drops = {functional.dropout: False, functional.dropout1d: True, functional.dropout2d: True}
    functions: tuple[Any, ...] = (functional.batch_norm, *drops)
    signatures = {function: inspect.signature(function) for function in functions}
    refused = {functional.alpha_dropout, functional.feature_alpha_dropout, functional.dropout3d}

    class Replacing(TorchFunctionMode):
        def __init__(self, training: Training) -> None:
            super().__init__()
            self._training = training

        def __torch_function__(
            self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            kwargs = kwargs or {}
            if func in refused:
                raise ExportError(f"{func.__name__} cannot be compiled; write nn.Dropout")
            if func not in signatures:
                return func(*args, **kwargs)
            given = signatures[func].bind(*args, **kwargs)
            given.apply_defaults()
            options = given.arguments
            if func is functional.batch_norm:
                return self._training.batch_norm(options)
            if not options["training"]:
                return options["input"]
            return self._training.dropout(options["input"], options["p"], drops[func])

    return Replacing
