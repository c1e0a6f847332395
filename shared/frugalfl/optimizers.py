"""What moves a client's parameters in its local steps, as settings write it: ``adam(0.9, 0.99)``.

Both kinds of client compute the same rule: ``frugalfl_client/training/optimizers.py`` in PyTorch,
``frugalfl_server/compiler/optimizers.py`` in a training program.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from frugalfl.calls import Call, arity, below_one, parse_call, unknown
from frugalfl.errors import UsageError

#: Every rule that a setting may name.
OPTIMIZERS = ("sgd", "nesterov", "adam", "adamw")
_BETAS = (0.9, 0.999)


@dataclass(frozen=True)
class LocalOptimizer:
    """A checked optimiser; the loss's gradient is clipped first, then decay is added.

    Attributes:
        name: One of :data:`OPTIMIZERS`.
        momentum: Share of the velocity that ``sgd`` and ``nesterov`` keep.
        betas: Shares of the two means that ``adam`` and ``adamw`` keep.
        weight_decay: Times the parameter, added to its gradient; of ``adamw`` taken off the
            parameter itself, times the step size.
        clip_norm: Largest Euclidean norm of all gradients of a step together; 0: no limit.
    """

    name: str = "sgd"
    momentum: float = 0.0
    betas: tuple[float, float] = _BETAS
    weight_decay: float = 0.0
    clip_norm: float = 0.0

    @property
    def adaptive(self) -> bool:
        """Whether it divides each gradient by its own size, so that steps are no gradients."""
        return self.name.startswith("adam")

    @property
    def decoupled(self) -> bool:
        """Whether the weight decay does not go through the gradient."""
        return self.name == "adamw"


def parse_optimizer(
    text: str, momentum: float = 0.0, weight_decay: float = 0.0, clip_norm: float = 0.0
) -> LocalOptimizer:
    """Read an optimiser.

    >>> parse_optimizer("adam(0.8, 0.99)").betas
    (0.8, 0.99)

    Args:
        text: ``sgd``, ``nesterov``, ``adam`` or ``adamw``; the latter two may name their betas.
        momentum: The setting, from 0 to below 1.
        weight_decay: The setting.
        clip_norm: The setting.

    Raises:
        UsageError: An unknown name, numbers that cannot be, or that do not go together.
    """
    call = parse_call(text)
    if call.name not in OPTIMIZERS:
        raise unknown("optimizer", call.name, OPTIMIZERS)
    for key, value in (("weight-decay", weight_decay), ("clip-norm", clip_norm)):
        if not 0 <= value < math.inf:
            raise UsageError(f"{key} is {value}; it must be 0 or more, and finite; 0 is for none")
    if call.name == "nesterov" and not momentum:
        raise UsageError("optimizer nesterov looks ahead along its momentum: set momentum above 0")
    if call.name == "adamw" and not weight_decay:
        raise UsageError(
            "optimizer adamw is adam with a weight decay of its own kind: set weight-decay, such "
            "as 0.01, or take adam"
        )
    return LocalOptimizer(call.name, momentum, _betas(call), weight_decay, clip_norm)


def _betas(call: Call) -> tuple[float, float]:
    if not call.arguments:
        return _BETAS
    arity(call, 2 if call.name.startswith("adam") else 0)
    first, second = (below_one(argument.name, call.name) for argument in call.arguments)
    return first, second
