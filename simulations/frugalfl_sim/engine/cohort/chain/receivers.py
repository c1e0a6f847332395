"""What becomes of the gradients of a chain: they move the parameters, one way or another."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from frugalfl_sim.engine.cohort.cohort_steps import CohortSteps


class Descent:
    """Gradient descent with or without momentum, of the first clients only: those not yet done.

    A product moves the parameters, or their velocity, as it is computed; no gradient is stored.
    """

    def __init__(
        self,
        moved: Mapping[str, Tensor],
        still: Mapping[str, Tensor],
        learning_rate: float,
        momentum: float,
    ) -> None:
        """Take the parameters that train and those that do not, of shape ``(clients, ...)``."""
        self._moved, self._still = moved, still
        self._rate, self._momentum = learning_rate, momentum
        self._velocity = {
            name: torch.zeros_like(one) for name, one in moved.items() if momentum
        } or dict(moved)
        self._clients = -1
        self._now: dict[str, Tensor] = {}
        self._targets: dict[str, Tensor] = {}

    def begin(self, clients: int) -> None:
        """Begin a step of the first so many clients."""
        if clients == self._clients:
            return
        self._clients = clients
        self._now = {n: one[:clients] for n, one in (*self._moved.items(), *self._still.items())}
        self._targets = {name: one[:clients] for name, one in self._velocity.items()}

    def parameter(self, name: str) -> Tensor:
        """See ``Receiver``."""
        return self._now[name]

    def trains(self, name: str) -> bool:
        """See ``Receiver``."""
        return name in self._targets

    def take_product(self, name: str, left: Tensor, right: Tensor) -> None:
        """See ``Receiver``."""
        target = self._targets[name]
        if target.dim() > 3:
            target = target.flatten(2)
        if self._momentum:
            target.baddbmm_(left, right, beta=self._momentum)
        else:
            target.baddbmm_(left, right, alpha=-self._rate)

    def take(self, name: str, gradient: Tensor) -> None:
        """See ``Receiver``."""
        if self._momentum:
            self._targets[name].mul_(self._momentum).add_(gradient)
        else:
            self._targets[name].add_(gradient, alpha=-self._rate)

    def end(self) -> None:
        """End the step."""
        if self._momentum:
            for name, velocity in self._targets.items():
                self._now[name].add_(velocity, alpha=-self._rate)


class Collected:
    """Gradients of all clients, for any other optimiser; rows of those who are done weigh 0."""

    def __init__(
        self, moved: Mapping[str, Tensor], still: Mapping[str, Tensor], steps: CohortSteps
    ) -> None:
        """Take the parameters that train and those that do not, and what moves the former."""
        self._moved, self._steps = moved, steps
        self._all = {**moved, **still}
        self._gradients: dict[str, Tensor] = {}

    def begin(self, clients: int) -> None:
        """Begin a step of all clients."""
        self._gradients.clear()

    def parameter(self, name: str) -> Tensor:
        """See ``Receiver``."""
        return self._all[name]

    def trains(self, name: str) -> bool:
        """See ``Receiver``."""
        return name in self._moved

    def take_product(self, name: str, left: Tensor, right: Tensor) -> None:
        """See ``Receiver``."""
        self.take(name, torch.bmm(left, right))

    def take(self, name: str, gradient: Tensor) -> None:
        """See ``Receiver``."""
        self._gradients[name] = gradient.view_as(self._moved[name])

    def end(self) -> None:
        """End the step."""
        self._steps.step([self._gradients[name] for name in self._moved])
