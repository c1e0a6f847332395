"""Classify images: which digit was written, from 8x8 pixels.

To make it yours: `client_data` reads this device's own rows, `public_data` what the server may see
to measure on, `model` builds the network. docs/task.md has the rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from frugalfl import Examples, PublicData, Task
from frugalfl.digits import load_digits
from frugalfl_sim.partition import dirichlet

if TYPE_CHECKING:
    from torch import nn

TEST_ROWS = 360
DIGITS = load_digits()  # 1,797 real images that come with frugalfl
ORDER = np.random.default_rng(7).permutation(len(DIGITS))


def rows(chosen: np.ndarray) -> Examples:
    """Return some of the images: x float32 (rows, channels, height, width), y the class numbers."""
    return Examples(DIGITS.x[chosen], DIGITS.y[chosen])


def client_data(client: int, clients: int) -> Examples:
    """This device's own rows. Here: its share of each digit is drawn, so that clients differ."""
    private = ORDER[TEST_ROWS:]
    return rows(private[dirichlet(DIGITS.y[private], clients, alpha=1.0, seed=7)[client]])


def public_data() -> PublicData:
    """What the server may see: rows to measure on, which no client holds."""
    return PublicData(test=rows(ORDER[:TEST_ROWS]))


def model() -> nn.Module:
    """A fresh model. PyTorch is imported here, so that devices without it can read the data."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(16 * 4 * 4, 10),
    )  # fmt: skip


task = Task(
    "__NAME__",
    model=model,
    client_data=client_data,
    public_data=public_data,
    about={"labels": [str(digit) for digit in range(10)], "input": "pixels, 0 white to 1 black"},
)
