"""PyTorch's own optimisers of the constants that a training program has, for weights or coordinates."""

from __future__ import annotations

from dataclasses import replace

import torch

from frugalfl_server.compiler import Adam, Optimizer, Sgd


class InCoordinates:
    """PyTorch's optimiser of coordinates: autograd brings the weights' gradients to them."""

    def __init__(self, rule: Optimizer, weights, signs, rate: float) -> None:
        self.weights, self.signs = weights, signs
        self.coordinates = [
            torch.zeros(one.shape[1], dtype=one.dtype, requires_grad=True) for one in signs
        ]
        self.decoupled = isinstance(rule, Adam) and rule.decoupled
        self.decay, self.rate = rule.weight_decay, rate
        self.inner = own_optimizer(replace(rule, weight_decay=0.0), self.coordinates, rate)

    def expanded(self, coordinates) -> list[torch.Tensor]:
        """What coordinates add to the weights."""
        return [
            (signs * one).flatten()[: weights.numel()].view_as(weights)
            for one, signs, weights in zip(coordinates, self.signs, self.weights, strict=True)
        ]

    def transposed(self, weights) -> list[torch.Tensor]:
        return list(torch.autograd.grad(self.expanded(self.coordinates), self.coordinates, weights))

    def step(self) -> None:
        before = [one.detach().clone() for one in self.coordinates]
        own = [torch.zeros_like(one) for one in before]
        if self.decoupled:
            sums = self.transposed([one.detach() for one in self.weights])
            own = [
                self.rate * self.decay * one / signs.abs().sum(0)
                for one, signs in zip(sums, self.signs, strict=True)
            ]
        decay = 0.0 if self.decoupled else self.decay
        whole = [one.grad + decay * one.detach() for one in self.weights]
        for one, gradient in zip(self.coordinates, self.transposed(whole), strict=True):
            one.grad = gradient
        self.inner.step()
        with torch.no_grad():
            moved = [
                after - old - less
                for after, old, less in zip(self.coordinates, before, own, strict=True)
            ]
            for one, change in zip(self.weights, self.expanded(moved), strict=True):
                one.add_(change)


def own_optimizer(rule: Optimizer, trained, rate: float) -> torch.optim.Optimizer:
    """PyTorch's optimiser of the same constants."""
    if isinstance(rule, Sgd):
        return torch.optim.SGD(
            trained, rate, rule.momentum, nesterov=rule.nesterov, weight_decay=rule.weight_decay
        )
    kind = torch.optim.AdamW if rule.decoupled else torch.optim.Adam
    return kind(trained, rate, rule.betas, rule.eps, rule.weight_decay)
