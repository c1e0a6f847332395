"""One net of the zoo: a FrugalFL task, how it is scored, and how long it is trained centrally."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from frugalfl import Examples, Task

if TYPE_CHECKING:
    import torch

BATCH_ROWS = 32


@dataclass(frozen=True)
class Net:
    """A network with everything that is needed to train and to judge it.

    Attributes:
        task: Model, data and loss. One client of one holds all training rows; the public
            calibration rows are 200 of them, the test rows are nobody's.
        metric: ``"accuracy"``, share of rows in [0, 1]; or ``"mse"``, mean squared error.
        epochs: Passes over the training rows that are enough, with Adam.
        learning_rate: Of Adam, at its highest.
    """

    task: Task
    metric: Literal["accuracy", "mse"]
    epochs: int
    learning_rate: float = 1e-2

    @property
    def name(self) -> str:
        """The task's name."""
        return self.task.name


def train(net: Net, seed: int) -> torch.nn.Module:
    """Return a net trained on all its rows; the same on every call with the same seed.

    One thread, so that the order of the sums does not depend on the machine.
    """
    import torch

    with _one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = net.task.new_model()
        _fit(module, net, net.epochs, net.learning_rate)
    return module.eval()


def finetune(module: torch.nn.Module, net: Net, seed: int, epochs: int) -> torch.nn.Module:
    """Train a pruned module on, in place, at a third of the net's learning rate; return it."""
    import torch

    with _one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _fit(module, net, epochs, net.learning_rate / 3)
    return module.eval()


def score(net: Net, outputs: np.ndarray, test: Examples) -> float:
    """Return the net's metric of some outputs.

    Args:
        net: Says which metric.
        outputs: Real values, shape ``(rows, outputs)``.
        test: The rows they belong to.
    """
    if net.metric == "mse":
        return float(np.square(outputs - test.y, dtype=np.float64).mean())
    return float((outputs.argmax(axis=1) == test.y).mean())


def _fit(module: torch.nn.Module, net: Net, epochs: int, learning_rate: float) -> None:
    import torch

    rows = net.task.rows_of(0, 1)
    x, y = torch.from_numpy(rows.x), torch.from_numpy(rows.y)
    loss = net.task.loss
    compute = torch.nn.functional.cross_entropy if loss == "cross_entropy" else loss
    optimizer = torch.optim.Adam(module.parameters())
    steps = epochs * -(-len(rows) // BATCH_ROWS)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    module.train()
    for _ in range(epochs):
        for chosen in torch.randperm(len(rows)).split(BATCH_ROWS):
            optimizer.zero_grad()
            compute(module(x[chosen]), y[chosen]).backward()
            optimizer.step()
            schedule.step()


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
