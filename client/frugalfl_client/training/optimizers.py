"""The optimisers of PyTorch clients, with FedProx's proximal term.

PyTorch's own optimizers import its compiler at their first step: 0.9 s and tens of MB on a device
that may train for 0.1 s a round. The rules are the same as ``torch.optim``'s, and a test holds them
to the same bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import torch

from frugalfl.optimizers import LocalOptimizer

#: As PyTorch's default: keeps Adam from dividing by zero.
_EPS = 1e-8


class Rule(Protocol):
    """How a parameter moves, once its gradient is known."""

    def move(self, parameter: torch.Tensor, gradient: torch.Tensor, learning_rate: float) -> None:
        """Move a parameter in place; the gradient is the rule's from now on."""


class Momentum:
    """v = momentum v + g;  p = p - learning_rate v  (Sutskever et al. 2013).

    Nesterov's takes g + momentum v in place of v.
    """

    def __init__(self, momentum: float, nesterov: bool = False) -> None:
        self._momentum = momentum
        self._nesterov = nesterov
        self._velocity: torch.Tensor | None = None

    def move(self, parameter: torch.Tensor, gradient: torch.Tensor, learning_rate: float) -> None:
        """Make one step."""
        velocity = self._velocity
        velocity = gradient if velocity is None else velocity.mul_(self._momentum).add_(gradient)
        self._velocity = velocity
        step = gradient.add(velocity, alpha=self._momentum) if self._nesterov else velocity
        parameter.add_(step, alpha=-learning_rate)


class Adam:
    """m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g²;  both corrected for their start at 0.

    Adam is Kingma and Ba 2015; with ``decay``, AdamW (Loshchilov and Hutter 2019).
    """

    def __init__(self, betas: tuple[float, float], decay: float = 0.0) -> None:
        self._betas = betas
        self._decay = decay
        self._steps = 0
        self._means: tuple[torch.Tensor, torch.Tensor] | None = None

    def move(self, parameter: torch.Tensor, gradient: torch.Tensor, learning_rate: float) -> None:
        """Make one step."""
        if self._means is None:
            self._means = torch.zeros_like(parameter), torch.zeros_like(parameter)
        (mean, square), (first, second) = self._means, self._betas
        self._steps += 1
        if self._decay:
            parameter.mul_(1 - learning_rate * self._decay)
        mean.lerp_(gradient, 1 - first)
        square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        root = (square.sqrt() / (1 - second**self._steps) ** 0.5).add_(_EPS)
        parameter.addcdiv_(mean, root, value=-learning_rate / (1 - first**self._steps))


class Following:
    """Moves coordinates by another rule, and the parameter that follows them.

    The coordinates begin as the means of the entries that follow them, signs taken off, for the
    sake of a decay that is the rule's own.
    """

    def __init__(self, signs: torch.Tensor, parameter: torch.Tensor, rule: Rule) -> None:
        self._signs = signs
        self._rule = rule
        self._start = parameter.detach().clone()
        self._first = self._summed(self._start) / signs.abs().sum(0)
        self._coordinates = self._first.clone()

    def move(self, parameter: torch.Tensor, gradient: torch.Tensor, learning_rate: float) -> None:
        """Make one step."""
        self._rule.move(self._coordinates, self._summed(gradient), learning_rate)
        moved = (self._signs * (self._coordinates - self._first)).flatten()[: parameter.numel()]
        torch.add(self._start, moved.view_as(parameter), out=parameter)

    def _summed(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sum of each coordinate's entries, signs taken off."""
        flat = torch.nn.functional.pad(values.flatten(), (0, self._signs.numel() - values.numel()))
        return (flat.view_as(self._signs) * self._signs).sum(0)


class LocalSteps:
    """Moves the parameters that training may move; begun anew for every local training.

    The gradient of all of them together is clipped first. Then the proximal term is added,
    mu (p - p0), the gradient of mu / 2 times the squared distance to the parameters p0 that
    training began with, the global model's (FedProx, Li et al. 2020); then the weight decay.

    Of a parameter in a subspace, the rule moves the coordinates that it follows, by the sum of the
    gradients of all entries of each, and the parameter moves with them.
    """

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        learning_rate: float,
        optimizer: LocalOptimizer,
        proximal_mu: float = 0.0,
        signs: Mapping[int, torch.Tensor] | None = None,
    ) -> None:
        """Begin a local training.

        Args:
            parameters: Of the model; those that require no gradient stay.
            learning_rate: Step size.
            optimizer: The rule's name and constants.
            proximal_mu: Weight of the proximal term.
            signs: By ``id`` of the parameters that follow coordinates of a subspace, as
                :meth:`~frugalfl.subspace.Subspace.signs` returns them.
        """
        self._parameters = [p for p in parameters if p.requires_grad]
        self._rules: list[Rule] = []
        for parameter in self._parameters:
            rule, own = rule_of(optimizer), (signs or {}).get(id(parameter))
            self._rules.append(rule if own is None else Following(own, parameter, rule))
        self._learning_rate = learning_rate
        self._clip = optimizer.clip_norm
        self._decay = 0.0 if optimizer.decoupled else optimizer.weight_decay
        #: Without a gradient a parameter stays; but a training program decays all that it trains.
        self._decays = optimizer.weight_decay > 0
        self._mu = proximal_mu
        self._starts = [p.detach().clone() for p in self._parameters] if proximal_mu else []

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient, and clear the gradients."""
        if self._clip:
            torch.nn.utils.clip_grad_norm_(self._parameters, self._clip)
        for index, parameter in enumerate(self._parameters):
            gradient = parameter.grad
            if gradient is None:
                if not self._decays:
                    continue
                gradient = torch.zeros_like(parameter)
            if self._mu:
                gradient.add_(parameter - self._starts[index], alpha=self._mu)
            if self._decay:
                gradient.add_(parameter, alpha=self._decay)
            self._rules[index].move(parameter, gradient, self._learning_rate)
            parameter.grad = None


def rule_of(optimizer: LocalOptimizer) -> Rule:
    """Return the rule of one parameter, with nothing remembered yet."""
    if optimizer.adaptive:
        return Adam(optimizer.betas, optimizer.weight_decay if optimizer.decoupled else 0.0)
    return Momentum(optimizer.momentum, nesterov=optimizer.name == "nesterov")
