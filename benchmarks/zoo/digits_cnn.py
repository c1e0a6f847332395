"""The CNN that `make demo` federates, on the same digits: 38,282 parameters."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.data import DIGITS_TEST_ROWS, digits, task_of
from zoo.net import Net

if TYPE_CHECKING:
    import torch

DEMO = Path(__file__).parents[2] / "simulations" / "digits" / "task.py"


def model() -> torch.nn.Module:
    """Build the demo's net; rows have shape ``(1, 8, 8)``."""
    built: torch.nn.Module = runpy.run_path(str(DEMO))["model"]()
    return built


NET = Net(
    task_of("digits-cnn", model, digits, DIGITS_TEST_ROWS),
    metric="accuracy",
    epochs=6,
    learning_rate=4e-3,
)
