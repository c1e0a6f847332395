"""Stand-in."""

from dataclasses import dataclass
from typing import Any

from frugalfl.errors import DivergedError
from frugalfl_client.device import _torch_trainer


@dataclass(frozen=True)
class Job:
    parameters: Any
    planned: Any
    examples: Any
    learning_rate: float
    seed: tuple[int, ...]
    private: Any = None
    proximal_mu: float = 0.0
    epochs: int = 0
    smallest_batch: int = 1
    subspace: Any = None


class CohortTrainer:
    why_not = ""

    def __init__(self, task, settings):
        self.t = _torch_trainer(settings)

    def train(self, jobs):
        out = []
        for j in jobs:
            try:
                out.append(
                    self.t.train(
                        j.parameters,
                        j.planned,
                        j.examples,
                        j.learning_rate,
                        j.seed,
                        j.private,
                        j.proximal_mu,
                        j.epochs,
                        j.smallest_batch,
                        j.subspace,
                    )
                )
            except DivergedError as e:
                out.append(e)
        return out
