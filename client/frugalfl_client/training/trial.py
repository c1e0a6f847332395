"""PyTorch or LiteRT: both train on the same rows, and the cheaper one goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from frugalfl.blocks import Parameters
from frugalfl.subspace import Subspace
from frugalfl.task import Examples
from frugalfl.wire import LITERT, TORCH
from frugalfl_client.training.trainer import Trainer

#: A program has to be so much cheaper, so that chance does not decide between equals.
_CLEARLY = 0.8
#: Rows that both train on, at most, and how often after a first time: the quickest counts.
_MOST_ROWS, _TIMES = 256, 3


class Trial(NamedTuple):
    """What an epoch over some rows costs by each trainer, in processor time (s)."""

    rows: int
    torch_s: float
    litert_s: float

    @property
    def cheaper(self) -> str:
        """Name of the trainer to go on with."""
        return LITERT if self.litert_s <= _CLEARLY * self.torch_s else TORCH

    def __str__(self) -> str:
        return (
            f"an epoch over {self.rows} rows takes {1e3 * self.litert_s:.3g} ms of processor time "
            f"with LiteRT and {1e3 * self.torch_s:.3g} ms with PyTorch"
        )


def compare(
    torch: Trainer,
    litert: Trainer,
    parameters: Parameters,
    planned: tuple[int, ...],
    examples: Examples,
    learning_rate: float,
    seed: tuple[int, ...],
    proximal_mu: float = 0.0,
    smallest_batch: int = 1,
    subspace: Subspace | None = None,
) -> Trial:
    """Let both train; arguments and errors as of :meth:`Trainer.train`."""
    rows = Examples(examples.x[:_MOST_ROWS], examples.y[:_MOST_ROWS])

    def cost_of(trainer: Trainer) -> float:
        return _quickest(
            lambda: trainer.train(
                parameters, planned, rows, learning_rate, seed, None, proximal_mu, 1,
                smallest_batch, subspace,
            )
        )  # fmt: skip

    litert_s = cost_of(litert)  # first: it refuses a program before that costs anything
    return Trial(len(rows), cost_of(torch), litert_s)


def _quickest(work: Callable[[], object]) -> float:
    """Return the processor time that some work takes (s); the first time only warms up."""
    work()
    costs = []
    for _ in range(_TIMES):
        began = time.process_time()
        work()
        costs.append(time.process_time() - began)
    return min(costs)
