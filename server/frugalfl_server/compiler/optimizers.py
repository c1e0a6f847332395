"""Optimisers as arithmetic that a training program contains; every rule is PyTorch's own.

The loss's gradient is first clipped, then FedProx's term (Li et al. 2020) and the weight decay are
added, then the rule moves the parameters, or in a subspace the coordinates that they follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from frugalfl.errors import UsageError
from frugalfl.optimizers import LocalOptimizer
from frugalfl_server.compiler.spaces import Space

if TYPE_CHECKING:
    import torch

Named = Mapping[str, "torch.Tensor"]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Optimizer:
    """What every optimiser has.

    Attributes:
        weight_decay: Times the parameter, added to its gradient.
        clip_norm: Largest norm of all gradients together, as in
            ``torch.nn.utils.clip_grad_norm_``; 0: no limit.
        proximal: Whether FedProx's term is added.
        accumulate: Batches whose gradients are averaged, each row with its weight, before the
            parameters move.
    """

    weight_decay: float = 0.0
    clip_norm: float = 0.0
    proximal: bool = False
    accumulate: int = 1

    def __post_init__(self) -> None:
        for name in ("weight_decay", "clip_norm"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} of an optimizer is {getattr(self, name)}; at least 0")
        if self.accumulate < 1:
            raise UsageError(f"accumulate of an optimizer is {self.accumulate}; at least 1")

    def state_of(self, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        """Return name and shape of every state tensor, if what it moves has these shapes."""
        raise NotImplementedError

    def moved(
        self, parameters: Named, gradients: Named, state: Named, learning_rate: torch.Tensor,
        space: Space,
    ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:  # fmt: skip
        """Return the parameters and the state after one step; nothing changes in place.

        Args:
            parameters: By name.
            gradients: Of the parameters.
            state: As of :meth:`state_of`.
            learning_rate: A number.
            space: What the rule moves of them; the weight decay is of the parameters either way.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Sgd(Optimizer):
    """Stochastic gradient descent.

    Attributes:
        momentum: Share of the velocity that is kept (Sutskever et al. 2013); 0: no state.
        nesterov: Look ahead by one step of the velocity.
    """

    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and not self.momentum:
            raise UsageError("Nesterov's rule needs a momentum above 0")

    def state_of(self, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        """A velocity a parameter, with momentum."""
        if not self.momentum:
            return {}
        return {f"velocity.{name}": shape for name, shape in shapes.items()}

    def moved(
        self, parameters: Named, gradients: Named, state: Named, learning_rate: torch.Tensor,
        space: Space,
    ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:  # fmt: skip
        """One step: v = momentum v + g; p = p - learning_rate v."""
        after, kept = {}, {}
        for name, parameter in parameters.items():
            decayed = _decayed(gradients[name], parameter, self.weight_decay)
            gradient = step = space.reduce(name, decayed)
            if self.momentum:
                velocity = self.momentum * state[f"velocity.{name}"] + gradient
                kept[f"velocity.{name}"] = velocity
                step = gradient + self.momentum * velocity if self.nesterov else velocity
            after[name] = space.move(name, parameter, learning_rate * step)
        return after, kept


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), or AdamW (Loshchilov and Hutter 2019).

    Attributes:
        betas: Shares of the two means that are kept.
        eps: Added to the root of the second.
        decoupled: Take the weight decay off the parameter, not through the gradient: AdamW.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    decoupled: bool = False

    def state_of(self, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        """Two means a parameter, and what is left to correct of their start at 0."""
        means = {
            f"{mean}.{name}": shape for mean in ("mean", "square") for name, shape in shapes.items()
        }
        return {"weight.mean": (), "weight.square": (), **means}

    def moved(
        self, parameters: Named, gradients: Named, state: Named, learning_rate: torch.Tensor,
        space: Space,
    ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:  # fmt: skip
        """One step, with m = b1 m + (1 - b1) g and v = b2 v + (1 - b2) g², corrected."""
        first, second = self.betas
        # 1 - beta**t by recurrence: as a power it would lose four digits at the first steps.
        weight = first * state["weight.mean"] + (1 - first)
        square_weight = second * state["weight.square"] + (1 - second)
        after, kept = {}, {"weight.mean": weight, "weight.square": square_weight}
        for name, old in parameters.items():
            parameter, decay = old, self.weight_decay
            if self.decoupled and decay:
                parameter, decay = space.decay(name, old, learning_rate * decay), 0.0
            gradient = space.reduce(name, _decayed(gradients[name], parameter, decay))
            mean = first * state[f"mean.{name}"] + (1 - first) * gradient
            square = second * state[f"square.{name}"] + (1 - second) * (gradient * gradient)
            kept |= {f"mean.{name}": mean, f"square.{name}": square}
            root = square.sqrt() / square_weight.sqrt() + self.eps
            after[name] = space.move(name, parameter, (learning_rate / weight) * (mean / root))
        return after, kept


def optimizer_of(chosen: LocalOptimizer, proximal: bool) -> Optimizer:
    """Return what a setting names, with FedProx's term or without."""
    terms: dict[str, Any] = {
        "weight_decay": chosen.weight_decay, "clip_norm": chosen.clip_norm, "proximal": proximal,
    }  # fmt: skip
    if chosen.adaptive:
        return Adam(betas=chosen.betas, decoupled=chosen.decoupled, **terms)
    return Sgd(momentum=chosen.momentum, nesterov=chosen.name == "nesterov", **terms)


def clipped(gradients: Named, most: float) -> dict[str, torch.Tensor]:
    """Scale gradients so that the norm of all of them together is at most this."""
    import torch

    norm = sum(((one * one).sum() for one in gradients.values()), torch.zeros(())).sqrt()
    # As PyTorch: the small number keeps a gradient of zeros from dividing by zero.
    factor = torch.minimum(most / (norm + 1e-6), torch.ones(()))
    return {name: gradient * factor for name, gradient in gradients.items()}


def _decayed(gradient: torch.Tensor, parameter: torch.Tensor, decay: float) -> torch.Tensor:
    return gradient + decay * parameter if decay else gradient
