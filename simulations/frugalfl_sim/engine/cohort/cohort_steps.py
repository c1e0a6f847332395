"""The optimisers of clients, for many of them at once: each tensor has a first axis of clients.

The rules are the client's own (:mod:`frugalfl_client.training.optimizers`), which work entry by
entry. What is of one client as a whole, the norm that is clipped and the coordinates of a subspace,
is computed along the first axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from frugalfl.optimizers import LocalOptimizer
from frugalfl_client.training.optimizers import Rule, rule_of

_EPS = 1e-6


class CohortFollowing:
    """Moves coordinates of each client by another rule, and the parameters that follow them."""

    def __init__(self, signs: torch.Tensor, parameter: torch.Tensor, rule: Rule) -> None:
        """Begin at the means of the entries that follow each coordinate, signs taken off.

        Args:
            signs: Shape ``(rows, count)``, of all clients.
            parameter: Shape ``(clients, ...)``.
            rule: Of the coordinates.
        """
        self._signs = signs
        self._rule = rule
        self._start = parameter.detach().clone()
        self._first = self._summed(self._start) / signs.abs().sum(0)
        self._coordinates = self._first.clone()

    def move(self, parameter: torch.Tensor, gradient: torch.Tensor, learning_rate: float) -> None:
        """Make one step."""
        self._rule.move(self._coordinates, self._summed(gradient), learning_rate)
        moved = self._signs * (self._coordinates - self._first).unsqueeze(1)
        flat = moved.flatten(1)[:, : parameter[0].numel()]
        torch.add(self._start, flat.view_as(parameter), out=parameter)

    def _summed(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sum of each coordinate's entries, shape ``(clients, count)``."""
        flat = values.flatten(1)
        filled = torch.nn.functional.pad(flat, (0, self._signs.numel() - flat.shape[1]))
        return (filled.view(len(flat), *self._signs.shape) * self._signs).sum(1)


class CohortSteps:
    """Moves the parameters of many clients; see ``LocalSteps``, which moves those of one."""

    def __init__(
        self,
        parameters: Sequence[torch.Tensor],
        learning_rate: float,
        optimizer: LocalOptimizer,
        proximal_mu: float,
        signs: Mapping[int, torch.Tensor],
    ) -> None:
        """Begin a local training of all clients.

        Args:
            parameters: Of shape ``(clients, ...)``; moved in place.
            learning_rate: Step size.
            optimizer: The rule's name and constants.
            proximal_mu: Weight of the proximal term.
            signs: Of those that follow coordinates of a subspace, by their place.
        """
        self._parameters = parameters
        self._rules: list[Rule] = []
        for place, parameter in enumerate(parameters):
            rule = rule_of(optimizer)
            own = signs.get(place)
            self._rules.append(rule if own is None else CohortFollowing(own, parameter, rule))
        self._learning_rate = learning_rate
        self._clip = optimizer.clip_norm
        self._decay = 0.0 if optimizer.decoupled else optimizer.weight_decay
        self._mu = proximal_mu
        self._starts = [one.clone() for one in parameters] if proximal_mu else []

    @torch.no_grad()
    def step(self, gradients: Sequence[torch.Tensor]) -> None:
        """Move every parameter; the gradients are the rules' own from now on."""
        for place, gradient in enumerate(self._clipped(gradients)):
            parameter = self._parameters[place]
            if self._mu:
                gradient.add_(parameter - self._starts[place], alpha=self._mu)
            if self._decay:
                gradient.add_(parameter, alpha=self._decay)
            self._rules[place].move(parameter, gradient, self._learning_rate)

    def _clipped(self, gradients: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        """Shorten the gradients of each client whose norm, of all together, is too long."""
        if not self._clip:
            return gradients
        squares = torch.stack([one.flatten(1).square().sum(1) for one in gradients]).sum(0)
        scale = (self._clip / (squares.sqrt() + _EPS)).clamp(max=1.0)
        return [one * scale.view(-1, *[1] * (one.dim() - 1)) for one in gradients]
