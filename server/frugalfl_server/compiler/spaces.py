"""What an optimiser moves: every weight by itself, or the coordinates that weights follow.

In a subspace (:mod:`frugalfl.subspace`) an optimiser sees no weights. It is given the gradient of
each coordinate, which is the sum of the gradients of all entries that follow it, signs taken off,
and the step that it makes moves all those entries. No factor is compiled in: whoever trains chooses
the step size for the subspace.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


class Space(Protocol):
    """How gradients of weights become those of what is moved, and steps become the weights'."""

    def reduce(self, name: str, gradient: torch.Tensor) -> torch.Tensor:
        """Return the gradient of what is moved, given the one of a tensor's weights."""

    def decay(self, name: str, weights: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
        """Return weights after this share of what is moved is taken off."""

    def move(self, name: str, weights: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        """Return weights after a step of what is moved is taken off."""


class WholeSpace:
    """Every weight moves by itself."""

    def reduce(self, name: str, gradient: torch.Tensor) -> torch.Tensor:
        """Return the gradient as it is."""
        return gradient

    def decay(self, name: str, weights: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
        """Shrink every weight by the share."""
        return weights * (1 - share)

    def move(self, name: str, weights: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        """Move every weight by its own step."""
        return weights - step


@dataclass(frozen=True)
class SignedSpace:
    """Coordinates move, and every weight goes with one of them or against it.

    Attributes:
        signs: Of each tensor by name, shape ``(rows, count)``: row by row, the sign of every entry
            in the order of the tensor, 0 behind its last one.
    """

    signs: Mapping[str, torch.Tensor]

    def reduce(self, name: str, gradient: torch.Tensor) -> torch.Tensor:
        """Sum over the entries of each coordinate; shape ``(count,)``."""
        from torch.nn.functional import pad

        signs = self.signs[name]
        flat = gradient.reshape(-1)
        missing = signs.numel() - flat.numel()
        if missing:  # else neither operator is needed: a microcontroller runs fewer
            flat = pad(flat, (0, missing))
        return (signs * flat.reshape(signs.shape)).sum(0)

    def decay(self, name: str, weights: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
        """Shrink the part of the weights that lies in the subspace: no step reaches the rest."""
        signs = self.signs[name]
        even = signs.numel() == weights.numel()
        entries = float(signs.shape[0]) if even else (signs * signs).sum(0)
        return self.move(name, weights, share * (self.reduce(name, weights) / entries))

    def move(self, name: str, weights: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        """Move every weight by its coordinate's step, shape ``(count,)``, times its sign."""
        flat = (self.signs[name] * step).reshape(-1)
        if flat.numel() != weights.numel():
            flat = flat[: weights.numel()]
        return weights - flat.reshape(weights.shape)
