"""An MLP 64-32-10 on handwritten digits: 2,410 parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.data import DIGITS_TEST_ROWS, flat_digits, task_of
from zoo.net import Net

if TYPE_CHECKING:
    import torch


def model() -> torch.nn.Module:
    """Build the net; rows have shape ``(64,)``."""
    from torch import nn

    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


NET = Net(task_of("mlp", model, flat_digits, DIGITS_TEST_ROWS), metric="accuracy", epochs=20)
