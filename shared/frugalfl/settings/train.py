"""What a client does with its own rows in a round."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from frugalfl.optimizers import LocalOptimizer, parse_optimizer
from frugalfl.schedule import Plateau, Schedule, parse_schedule
from frugalfl.settings.keys import need, setting
from frugalfl.sums import AT_LEAST
from frugalfl.trees.ways import Way, parse_way

#: What may train on clients.
TRAINERS = ("auto", "torch", "litert")
#: Whose counters a task's rows are made with.
COUNTERS = ("own", "shared")


@dataclass(frozen=True)
class TrainSettings:
    """Epochs, batches, the rule of a step and its size, what trains, and on which rows."""

    epochs: int = setting(5, "passes over a client's own data in a round", key="local-epochs")
    batch_size: int = setting(16, "rows per training step")
    optimizer: str = setting("sgd", "rule of the local steps: sgd, nesterov, adam, adamw (below)")
    momentum: float = setting(0.9, "momentum of sgd and nesterov, 0 for none")
    weight_decay: float = setting(0.0, "times the weights, added to their gradient; 0: none")
    clip_norm: float = setting(
        0.0, "longest gradient of a local step, all tensors together; 0: any length"
    )
    learning_rate: float = setting(0.05, "step size of the local steps in the first round")
    final_learning_rate: float = setting(
        0.01, "step size in the last round of cosine and linear; plateau goes no lower"
    )
    schedule: str = setting(
        "cosine", "step size between: cosine, linear, constant, step(factor, rounds), plateau(...)"
    )
    trainer: str = setting(
        "auto",
        "what trains on clients: torch, litert, or auto (PyTorch where it is installed; a long "
        "run takes what costs less)",
    )
    trees: str = setting(
        "", "federated trees in place of the network, such as bagging(20); empty: none"
    )
    counters: str = setting(
        "own", "counters of a task by keys: own (of each client), or shared (sums over all clients)"
    )
    counters_at_least: int = setting(
        AT_LEAST,
        "clients that must have a key for its shared sum to be handed back; others keep their own",
    )

    def __post_init__(self) -> None:
        need(self.epochs >= 1, "local-epochs", self.epochs, "at least 1")
        need(self.batch_size >= 1, "batch-size", self.batch_size, "at least 1")
        rate = self.learning_rate
        need(0 < rate < math.inf, "learning-rate", rate, "above 0, and finite")
        last = self.final_learning_rate
        need(
            0 < last <= self.learning_rate, "final-learning-rate", last,
            f"above 0 and at most learning-rate, {self.learning_rate:g}",
        )  # fmt: skip
        need(0 <= self.momentum < 1, "momentum", self.momentum, "from 0 to below 1")
        need(self.trainer in TRAINERS, "trainer", self.trainer, "auto, torch or litert")
        need(self.counters in COUNTERS, "counters", self.counters, "own or shared")
        least = self.counters_at_least
        need(least >= 1, "counters-at-least", least, "at least 1")
        _ = self.local_optimizer, self.step_sizes, self.tree_way  # each raises if it cannot be

    @cached_property
    def local_optimizer(self) -> LocalOptimizer:
        """The rule of the local steps, with all of its numbers."""
        return parse_optimizer(self.optimizer, self.momentum, self.weight_decay, self.clip_norm)

    @cached_property
    def step_sizes(self) -> Schedule | Plateau:
        """How the step size changes with the round."""
        return parse_schedule(self.schedule)

    @property
    def plateau(self) -> Plateau | None:
        """The schedule whose step sizes only the server knows, if it is that one."""
        return self.step_sizes if isinstance(self.step_sizes, Plateau) else None

    @cached_property
    def tree_way(self) -> Way | None:
        """How clients grow trees together; ``None``: they train a network."""
        return parse_way(self.trees)

    @property
    def shares_counters(self) -> bool:
        """Whether the task's counters are summed over all clients."""
        return self.counters == "shared"
