"""The proof that a training program does what PyTorch does, before any device gets it.

One step is made of random rows, the last of which is padding, in LiteRT and in PyTorch itself: its
autograd, its batch norm, its optimiser. The step size is so large that the parameters after it
are, but for rounding, the gradients. What each tensor differs by is put in relation to the largest
change of any parameter: a bias in front of a batch norm has a gradient of zero, which two orders of
summation round differently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from frugalfl.errors import ExportError
from frugalfl.modules import read_parameters
from frugalfl.program import Program
from frugalfl.task import Loss
from frugalfl_server.compiler.optimizers import Optimizer
from frugalfl_server.compiler.reference import example_step, reference_step
from frugalfl_server.compiler.runner import Array, Runner

if TYPE_CHECKING:
    import torch

#: A program that is farther from PyTorch is not shipped.
LIMIT = 1e-5
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Check:
    """How far one step of a program is from PyTorch's.

    Attributes:
        loss: Difference of the losses, relative to PyTorch's.
        tensors: Largest difference in each tensor that changes, by name, relative to the largest
            change of any parameter; of a running statistic, relative to its own largest value.
    """

    loss: float
    tensors: dict[str, float]

    @property
    def worst(self) -> float:
        """The largest of them all."""
        return max(self.loss, *self.tensors.values())


def check_program(
    program: Program,
    module: torch.nn.Module,
    *,
    loss: str | Loss,
    optimizer: Optimizer,
    planned: Sequence[str],
    seed: int = 0,
) -> Check:
    """Compare one step of a program with PyTorch's.

    Args:
        program: As compiled from the rest.
        module: With the weights to compare at; left as it was.
        loss: As of :func:`~frugalfl_server.compiler.trace_training`.
        optimizer: Likewise.
        planned: Likewise.
        seed: Of the rows, of dropout and of the distance to the global model.

    Raises:
        ExportError: LiteRT refuses the program, or they differ by more than :data:`LIMIT`; the
            tensor is in the message.
    """
    given = [
        example_step(program, module, optimizer, seed + i) for i in range(optimizer.accumulate)
    ]
    found: dict[str, Array] = {}
    try:
        runner = Runner(program.model)
        for inputs in given:
            found = runner.run("train", inputs | found_state(found))
    except (RuntimeError, ValueError) as error:
        raise ExportError(f"LiteRT refuses the training program: {error}") from error
    before, learnt = read_parameters(module), dict(module.named_parameters())
    after, expected = reference_step(program, module, loss, optimizer, planned, given)
    changes = {f"p{i}": one.name for i, one in enumerate(program.parameters) if one.changes}
    moves = [np.abs(after[name] - before[name]) for name in changes.values() if name in learnt]
    largest = max(float(move.max()) for move in moves)
    errors = {}
    for number, name in changes.items():
        scale = largest if name in learnt else float(np.abs(after[name]).max())
        difference = float(np.abs(found[number] - after[name]).max())
        errors[name] = difference / max(scale, _TINY)
    check = Check(abs(float(found["loss"]) - expected) / max(abs(expected), _TINY), errors)
    if not all(error <= LIMIT for error in (check.loss, *errors.values())):  # NaN fails too
        name = max(errors, key=lambda one: np.nan_to_num(errors[one], nan=np.inf))
        raise ExportError(
            f"the training program differs from PyTorch by {errors[name]:.1e} of the largest "
            f"change, in {name}, and by {check.loss:.1e} in the loss; at most {LIMIT:.0e} may be "
            "shipped"
        )
    return check


def found_state(found: dict[str, Array]) -> dict[str, Array]:
    """Return what the next step takes over from the outputs of the last."""
    return {name: value for name, value in found.items() if name != "loss"}
