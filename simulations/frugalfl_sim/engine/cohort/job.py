"""What one client of a cohort trains."""

from __future__ import annotations

from dataclasses import dataclass

from frugalfl.blocks import Parameters
from frugalfl.subspace import Subspace
from frugalfl.task import Examples


@dataclass(frozen=True)
class Job:
    """The arguments of :meth:`~frugalfl_client.training.trainer.Trainer.train`, as they are there.

    Jobs whose parameters are the same object are known to begin alike.
    """

    parameters: Parameters
    planned: tuple[int, ...]
    examples: Examples
    learning_rate: float
    seed: tuple[int, ...]
    private: Parameters | None = None
    proximal_mu: float = 0.0
    epochs: int = 0
    smallest_batch: int = 1
    subspace: Subspace | None = None
