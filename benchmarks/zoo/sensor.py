"""A 1-D CNN on made-up windows of a 3-axis sensor: 6,230 parameters, in two spellings.

``NET_1D`` is written with Conv1d and symmetric padding, the natural way; ``NET`` with
Conv2d of kernel ``(k, 1)`` and padding that the converter merges, for the smallest file.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from frugalfl import Examples
from zoo.data import SPLIT_SEED, task_of
from zoo.net import Net

if TYPE_CHECKING:
    import torch

ROWS, TEST_ROWS, CLASSES, AXES, SAMPLES = 3000, 750, 6, 3, 128
NOISE = 1.4


@lru_cache(maxsize=1)
def windows() -> Examples:
    """Return noisy sines, made up: float32, shape (3000, 3, 128).

    The class is in the frequency (4 to 14 periods a window, blurred so that neighbours overlap)
    and in the axis that swings twice as fast; phases and amplitudes are random.
    """
    rng = np.random.default_rng(SPLIT_SEED)
    y = rng.integers(0, CLASSES, ROWS)
    frequency = 4 + 2 * y + rng.normal(0, 0.4, ROWS)
    faster = 1 + (np.arange(AXES) == (y % AXES)[:, None])
    phase = rng.uniform(0, 2 * np.pi, (ROWS, AXES))
    size = rng.uniform(0.5, 1.5, (ROWS, AXES))
    time = np.arange(SAMPLES) / SAMPLES
    angle = 2 * np.pi * (frequency[:, None] * faster)[..., None] * time + phase[..., None]
    x = size[..., None] * np.sin(angle) + rng.normal(0, NOISE, angle.shape)
    return Examples(x.astype(np.float32), y.astype(np.int64))


def windows_2d() -> Examples:
    """Return the windows as images one pixel wide, shape (3000, 3, 128, 1)."""
    rows = windows()
    return Examples(rows.x[..., None], rows.y)


def model_1d() -> torch.nn.Module:
    """Build the net of Conv1d; rows have shape ``(3, 128)``."""
    from torch import nn

    return nn.Sequential(
        nn.Conv1d(3, 16, 5, stride=2, padding=2, bias=False), nn.BatchNorm1d(16), nn.ReLU(),
        nn.Conv1d(16, 32, 5, stride=2, padding=2, bias=False), nn.BatchNorm1d(32), nn.ReLU(),
        nn.Conv1d(32, 32, 3, stride=2, padding=1, bias=False), nn.BatchNorm1d(32), nn.ReLU(),
        nn.AvgPool1d(16), nn.Flatten(), nn.Linear(32, CLASSES),
    )  # fmt: skip


def model() -> torch.nn.Module:
    """Build the net of Conv2d; rows have shape ``(3, 128, 1)``."""
    from torch import nn

    def normed(inputs: int, outputs: int, size: int, pad: tuple[int, int]) -> list[nn.Module]:
        convolution = nn.Conv2d(inputs, outputs, (size, 1), stride=(2, 1), bias=False)
        return [nn.ZeroPad2d((0, 0, *pad)), convolution, nn.BatchNorm2d(outputs), nn.ReLU()]

    return nn.Sequential(
        *normed(3, 16, 5, (1, 2)), *normed(16, 32, 5, (1, 2)), *normed(32, 32, 3, (0, 1)),
        nn.AvgPool2d((16, 1)), nn.Flatten(), nn.Linear(32, CLASSES),
    )  # fmt: skip


NET = Net(task_of("sensor", model, windows_2d, TEST_ROWS), metric="accuracy", epochs=8)
NET_1D = Net(task_of("sensor-1d", model_1d, windows, TEST_ROWS), metric="accuracy", epochs=8)
