"""Scores of the global model on the server's own rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from frugalfl.metrics import Metric, measure
from frugalfl.task import Examples


@dataclass(frozen=True)
class Scores:
    """What is known of a model.

    Attributes:
        accuracy: Share of rows whose largest output is the target class, in [0, 1].
        metrics: The task's own metrics, by name; None where not known.
        right: Number of rows whose largest output is the target class; None: nobody counted.
    """

    accuracy: float
    metrics: Mapping[str, float | None]
    right: int | None = None


def evaluate(module: torch.nn.Module, examples: Examples, metrics: Mapping[str, Metric]) -> Scores:
    """Run the rows through a model once, and score them.

    Raises:
        TaskError: A metric raised, or returned something else than a number.
    """
    module.eval()
    with torch.inference_mode():
        outputs = module(torch.from_numpy(examples.x))
        predicted = outputs.argmax(1)
    right = int((predicted == torch.from_numpy(examples.y)).sum())
    measured = measure(metrics, outputs.numpy(), examples.y)
    return Scores(right / len(examples), measured, right)


def accuracy(module: torch.nn.Module, examples: Examples) -> float:
    """Return the share of rows whose largest output is the target class, in [0, 1]."""
    return evaluate(module, examples, {}).accuracy
