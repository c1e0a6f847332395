"""SGD with momentum.

PyTorch's own optimizers import its compiler at their first step: 0.9 s and tens of MB on a device
that may train for 0.1 s a round. The rule is the same as ``torch.optim.SGD``'s, and a test holds it
to the same bits.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch


class Sgd:
    """v = momentum v + g;  p = p - learning_rate v  (Sutskever et al. 2013)."""

    def __init__(
        self, parameters: Iterable[torch.nn.Parameter], learning_rate: float, momentum: float
    ) -> None:
        self._parameters = [p for p in parameters if p.requires_grad]
        self._velocities: list[torch.Tensor | None] = [None] * len(self._parameters)
        self._learning_rate = learning_rate
        self._momentum = momentum

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient, and clear the gradients."""
        for index, parameter in enumerate(self._parameters):
            gradient = parameter.grad
            if gradient is None:
                continue
            velocity = self._velocities[index]
            velocity = (
                gradient if velocity is None else velocity.mul_(self._momentum).add_(gradient)
            )
            self._velocities[index] = velocity
            parameter.add_(velocity, alpha=-self._learning_rate)
            parameter.grad = None
