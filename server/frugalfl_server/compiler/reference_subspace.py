"""A step of coordinates as their definition has it: entry ``i`` follows coordinate ``i mod count``.

Gradients are gathered by that number and steps are scattered by it, in float64; a training program
has neither operator, and multiplies rows of signs instead. So this is no second copy of what it is
held against.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from frugalfl.program import Program
from frugalfl_server.compiler.optimizers import Adam, Optimizer
from frugalfl_server.compiler.runner import Array

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Followed:
    """One tensor, the coordinate that each of its entries follows, and with which sign.

    Attributes:
        weights: The tensor, with its gradient.
        places: Number of each entry's coordinate, shape ``(entries,)``.
        signs: +1 or -1 of each entry, float64, shape ``(entries,)``.
        count: How many coordinates.
    """

    weights: torch.Tensor
    places: torch.Tensor
    signs: torch.Tensor
    count: int

    def sums(self, entries: torch.Tensor) -> torch.Tensor:
        """Return the sum of the entries of each coordinate, signs taken off; ``(count,)``."""
        import torch

        sums = torch.zeros(self.count, dtype=torch.float64)
        return sums.index_add(0, self.places, self.signs * entries.double().flatten())

    def means(self, entries: torch.Tensor) -> torch.Tensor:
        """Return the mean of the same."""
        return self.sums(entries) / self.places.bincount(minlength=self.count)

    def move(self, by: torch.Tensor) -> None:
        """Add coordinates, shape ``(count,)``, to the weights that follow them."""
        moves = self.signs * by.double()[self.places]
        self.weights.add_(moves.reshape(self.weights.shape).to(self.weights.dtype))


def draw_signs(program: Program, rng: np.random.Generator) -> dict[str, Array]:
    """Return random inputs ``q0`` ...; none if the program's weights move freely."""
    drawn = {}
    for i, (one, shape) in enumerate(zip(program.trained, program.signs, strict=False)):
        entries = prod(one.shape)
        signs = np.zeros(shape, np.float32)
        signs.reshape(-1)[:entries] = 2 * rng.integers(0, 2, entries) - 1
        drawn[f"q{i}"] = signs
    return drawn


def followed(
    trained: Sequence[torch.Tensor], counts: Sequence[int], given: Mapping[str, Array]
) -> list[Followed]:
    """Return what follows what, by the signs of a program's inputs ``q0`` ..."""
    import torch

    made = []
    for i, (weights, count) in enumerate(zip(trained, counts, strict=True)):
        size = weights.numel()
        signs = torch.from_numpy(given[f"q{i}"]).double().flatten()[:size]
        made.append(Followed(weights, torch.arange(size) % count, signs, count))
    return made


def move_coordinates(
    tensors: Sequence[Followed],
    optimizer: Optimizer,
    rule: Callable[[Sequence[torch.Tensor]], Any],
    learning_rate: float,
) -> None:
    """Make a step of coordinates, given the gradients of weights, clipped already.

    Args:
        tensors: What is moved.
        optimizer: Of the program.
        rule: PyTorch's own, without weight decay, for coordinates.
        learning_rate: Step size.
    """
    import torch

    decay = optimizer.weight_decay
    decoupled = isinstance(optimizer, Adam) and optimizer.decoupled
    with torch.no_grad():
        coordinates = [torch.zeros(one.count) for one in tensors]
        for one, z in zip(tensors, coordinates, strict=True):
            assert one.weights.grad is not None
            whole = one.weights.grad + (0.0 if decoupled else decay) * one.weights
            z.grad = one.sums(whole).float()
        rule(coordinates).step()
        for one, z in zip(tensors, coordinates, strict=True):
            if decoupled:
                z.sub_(learning_rate * decay * one.means(one.weights).float())
            one.move(z)
