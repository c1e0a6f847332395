"""Vibration: made-up windows of 3 axes and 64 samples; the class is in frequency and axis."""

from functools import lru_cache

import numpy as np

from frugalfl import Examples, PublicData, Task
from frugalfl_sim.partition import dirichlet

ROWS, CLASSES, SAMPLES = 3000, 6, 64
TEST_ROWS, CALIBRATION_ROWS = 900, 100
SPLIT_SEED = 7


@lru_cache(maxsize=1)
def windows() -> Examples:
    """Return noisy sines: float32, shape (3000, 3, 64)."""
    rng = np.random.default_rng(SPLIT_SEED)
    time = np.arange(SAMPLES) / SAMPLES
    y = rng.integers(0, CLASSES, ROWS)
    frequency = 2 + 1.3 * y + rng.normal(0, 0.35, ROWS)
    phase = rng.uniform(0, 2 * np.pi, (ROWS, 3))
    size = rng.uniform(0.5, 1.5, (ROWS, 3))
    faster = 1 + 0.5 * (np.arange(3) == (y % 3)[:, None])
    angle = 2 * np.pi * (frequency[:, None] * faster)[..., None] * time + phase[..., None]
    x = size[..., None] * np.sin(angle) + rng.normal(0, 0.7, angle.shape)
    return Examples(x.astype(np.float32), y.astype(np.int64))


def rows(start: int, stop: int | None = None) -> Examples:
    """Return a slice of the windows."""
    everything = windows()
    return Examples(everything.x[start:stop], everything.y[start:stop])


def public_data() -> PublicData:
    """The server's held-back rows."""
    return PublicData(rows(0, TEST_ROWS), rows(TEST_ROWS, TEST_ROWS + CALIBRATION_ROWS))


def client_data(client: int, clients: int) -> Examples:
    """One client's rows: its share of each class is drawn from Dirichlet(0.5)."""
    private = rows(TEST_ROWS + CALIBRATION_ROWS)
    mine = dirichlet(private.y, clients, alpha=0.5, seed=SPLIT_SEED)[client]
    return Examples(private.x[mine], private.y[mine])


def model():  # type: ignore[no-untyped-def]
    """Build a 1-D CNN of 19,462 parameters."""
    from torch import nn

    return nn.Sequential(
        nn.Conv1d(3, 16, 5, padding=2), nn.ReLU(),
        nn.Conv1d(16, 32, 5, stride=2, padding=2), nn.ReLU(), nn.MaxPool1d(2),
        nn.Flatten(), nn.Linear(512, 32), nn.ReLU(), nn.Linear(32, CLASSES),
    )  # fmt: skip


task = Task("sensor", model=model, client_data=client_data, public_data=public_data)
