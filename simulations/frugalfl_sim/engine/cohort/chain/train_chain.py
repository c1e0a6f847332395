"""Trains the jobs of a chunk whose model is a chain."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

from frugalfl.errors import DivergedError
from frugalfl.task import Loss
from frugalfl_client.training.trainer import Trained
from frugalfl_sim.engine.cohort.chain.chain import Chain
from frugalfl_sim.engine.cohort.chain.receivers import Collected, Descent
from frugalfl_sim.engine.cohort.chunk import Chunk, Stack
from frugalfl_sim.engine.cohort.ended import Ended


def descends_plainly(chunk: Chunk) -> bool:
    """Say whether the clients' optimiser is gradient descent with nothing but momentum."""
    optimizer, first = chunk.train.local_optimizer, chunk.jobs[0]
    more = optimizer.weight_decay or optimizer.clip_norm or first.proximal_mu or first.subspace
    return not (more or optimizer.adaptive or optimizer.name == "nesterov")


@torch.no_grad()
def train_chain(chain: Chain, chunk: Chunk, loss: str | Loss) -> list[Trained | DivergedError]:
    """Return each job's result.

    Args:
        chain: The model, in the shapes of the chunk's parameters.
        chunk: Jobs, those with the most steps first.
        loss: Of the task.
    """
    drawn = chunk.batches()
    x, y = chunk.rows
    rows = torch.from_numpy(drawn.rows)
    head = _head_of(loss, y[drawn.rows], drawn.weights)
    stack = chunk.stack()
    receiver = _receiver(chunk, stack)
    ended = Ended(stack) if isinstance(receiver, Collected) else None
    clients = len(chunk.jobs)
    for step, width in enumerate(drawn.widths):
        while drawn.counts[clients - 1] <= step:
            clients -= 1
        working = clients if ended is None else len(chunk.jobs)
        chosen = rows[step, :working, :width]
        batch = x.index_select(0, chosen.reshape(-1)).view(*chosen.shape, *x.shape[1:])
        receiver.begin(working)
        gradient = head.gradient(chain.forward(batch, receiver), step)
        chain.backward(gradient, receiver)
        receiver.end()
        if ended is not None:
            ended.keep(step, drawn.counts)
    if ended is not None:
        stack = ended.stack
    return chunk.results(stack, head.losses(), drawn.counts)


def _receiver(chunk: Chunk, stack: Stack) -> Descent | Collected:
    if not descends_plainly(chunk):
        return Collected(stack.moved, stack.still, chunk.steps(stack.moved))
    momentum = chunk.train.local_optimizer.momentum
    return Descent(stack.moved, stack.still, chunk.jobs[0].learning_rate, momentum)


class _CrossEntropy:
    """Softmax and cross entropy, with its gradient written out: softmax less one at the class."""

    def __init__(self, y: npt.NDArray[Any], weights: npt.NDArray[np.float32]) -> None:
        self._y = torch.from_numpy(y).unsqueeze(-1)
        self._weights = torch.from_numpy(weights).unsqueeze(-1)
        self._less = -self._weights
        self._picked = torch.zeros_like(self._weights)

    def gradient(self, outputs: Tensor, step: int) -> Tensor:
        """Return the gradient of the loss by the outputs ``(clients, rows, classes)``."""
        place = step, slice(outputs.shape[0]), slice(outputs.shape[1])
        y = self._y[place]
        logs = outputs.log_softmax(2)
        self._picked[place] = logs.gather(2, y)
        return logs.exp_().mul_(self._weights[place]).scatter_add_(2, y, self._less[place])

    def losses(self) -> npt.NDArray[np.float32]:
        """Return the mean loss of each batch, ``(steps, clients)``."""
        losses: npt.NDArray[np.float32] = (self._picked * self._less).sum((2, 3)).numpy()
        return losses


class _OwnLoss:
    """A loss of the task's own, by ``vmap``: all batches of a step are full."""

    def __init__(self, loss: Loss, y: npt.NDArray[Any], weights: npt.NDArray[np.float32]) -> None:
        self._y = torch.from_numpy(y)
        self._of = vmap(grad_and_value(loss))
        self._losses = torch.zeros(weights.shape[:2])

    def gradient(self, outputs: Tensor, step: int) -> Tensor:
        """Return the gradient of the loss by the outputs."""
        with torch.enable_grad():
            gradient, values = self._of(
                outputs, self._y[step, : outputs.shape[0], : outputs.shape[1]]
            )
        self._losses[step, : len(values)] = values
        found: Tensor = gradient
        return found

    def losses(self) -> npt.NDArray[np.float32]:
        """Return the loss of each batch, ``(steps, clients)``."""
        losses: npt.NDArray[np.float32] = self._losses.numpy()
        return losses


def _head_of(
    loss: str | Loss, y: npt.NDArray[Any], weights: npt.NDArray[np.float32]
) -> _CrossEntropy | _OwnLoss:
    return _CrossEntropy(y, weights) if isinstance(loss, str) else _OwnLoss(loss, y, weights)
