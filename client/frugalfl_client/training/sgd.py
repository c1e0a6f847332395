"""SGD with momentum, and with FedProx's proximal term.

PyTorch's own optimizers import its compiler at their first step: 0.9 s and tens of MB on a device
that may train for 0.1 s a round. The rule is the same as ``torch.optim.SGD``'s, and a test holds it
to the same bits.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch


class Sgd:
    """v = momentum v + g;  p = p - learning_rate v  (Sutskever et al. 2013).

    With a proximal term, g has mu (p - p0) added: the gradient of mu / 2 times the squared distance
    to the parameters p0 that training began with, the global model's (FedProx, Li et al. 2020).
    """

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        learning_rate: float,
        momentum: float,
        proximal_mu: float = 0.0,
    ) -> None:
        self._parameters = [p for p in parameters if p.requires_grad]
        self._velocities: list[torch.Tensor | None] = [None] * len(self._parameters)
        self._learning_rate = learning_rate
        self._momentum = momentum
        self._mu = proximal_mu
        self._starts = [p.detach().clone() for p in self._parameters] if proximal_mu else []

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient, and clear the gradients."""
        for index, parameter in enumerate(self._parameters):
            gradient = parameter.grad
            if gradient is None:
                continue
            if self._mu:
                gradient.add_(parameter - self._starts[index], alpha=self._mu)
            velocity = self._velocities[index]
            velocity = (
                gradient if velocity is None else velocity.mul_(self._momentum).add_(gradient)
            )
            self._velocities[index] = velocity
            parameter.add_(velocity, alpha=-self._learning_rate)
            parameter.grad = None
