"""An autoencoder of handwritten digits, as anomaly detectors are: 4,874 parameters.

Its score is the mean squared error of what it restores. That is what an anomaly threshold is set
on, and it shows an int8 scale that is slightly wrong, which an accuracy hides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from frugalfl import Examples
from zoo.data import DIGITS_TEST_ROWS, flat_digits, task_of
from zoo.net import Net

if TYPE_CHECKING:
    import torch

#: Pixels, hidden, code.
PIXELS, HIDDEN, CODE = 64, 32, 10


def model() -> torch.nn.Module:
    """Build the net; rows have shape ``(64,)``, and so have its outputs."""
    from torch import nn

    return nn.Sequential(
        nn.Linear(PIXELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CODE), nn.ReLU(),
        nn.Linear(CODE, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, PIXELS),
    )  # fmt: skip


def rows() -> Examples:
    """Return the digits; each is its own target."""
    images = flat_digits()
    return Examples(images.x, images.x)


def squared_error(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean squared error."""
    from torch.nn.functional import mse_loss

    return mse_loss(outputs, targets)


NET = Net(
    task_of("autoencoder", model, rows, DIGITS_TEST_ROWS, loss=squared_error),
    metric="mse",
    epochs=40,
    learning_rate=5e-3,
)
