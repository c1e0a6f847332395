"""Trains the jobs of a chunk with any module that ``torch.func.vmap`` takes.

Batches of different lengths are filled up with rows that weigh nothing; a client whose batches are
done goes on with such rows alone, after its result was taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap

from frugalfl.errors import DivergedError
from frugalfl.task import Loss
from frugalfl_client.training.trainer import Trained
from frugalfl_sim.engine.cohort.chunk import Chunk
from frugalfl_sim.engine.cohort.ended import Ended

_Tensors = dict[str, Tensor]


def train_by_vmap(
    module: torch.nn.Module, chunk: Chunk, loss: str | Loss
) -> list[Trained | DivergedError]:
    """Return each job's result.

    Args:
        module: The model, in training mode and in the shapes of the chunk's parameters.
        chunk: Jobs, those with the most steps first; of as many rows each if the loss is the
            task's own.
        loss: Of the task.
    """
    drawn = chunk.batches()
    x, targets = chunk.rows
    y = torch.from_numpy(targets)
    stack = chunk.stack()
    ended = Ended(stack)
    steps = chunk.steps(stack.moved)
    losses = torch.zeros(len(drawn.widths), len(chunk.jobs))
    gradients_of = vmap(grad_and_value(_loss_of(module, loss)))
    for step, width in enumerate(drawn.widths):
        rows = torch.from_numpy(drawn.rows[step, :, :width])
        weights = torch.from_numpy(drawn.weights[step, :, :width])
        gradients, losses[step] = gradients_of(stack.moved, stack.still, x[rows], y[rows], weights)
        steps.step([*gradients.values()])
        ended.keep(step, drawn.counts)
    return chunk.results(ended.stack, losses.numpy(), drawn.counts)


def _loss_of(module: torch.nn.Module, loss: str | Loss) -> Callable[..., Tensor]:
    """Return what computes one client's loss on one batch."""

    def found(moved: _Tensors, still: _Tensors, x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
        outputs: Any = functional_call(module, moved | still, (x,))
        if not isinstance(loss, str):
            return loss(outputs, y)
        each = torch.nn.functional.cross_entropy(outputs, y, reduction="none")
        return (each.flatten(1).mean(1) if each.dim() > 1 else each) @ weights

    return found
