"""Breast cancer: scikit-learn's 569 real biopsies, 30 measures each, benign or malignant."""

from functools import lru_cache

import numpy as np

from frugalfl import Examples, PublicData, Task
from frugalfl_sim.partition import dirichlet

TEST_ROWS, CALIBRATION_ROWS = 150, 19
SPLIT_SEED = 7


@lru_cache(maxsize=1)
def biopsies() -> Examples:
    """Return all rows in a fixed random order, standardised: float32, shape (569, 30)."""
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(x))
    x = (x - x.mean(0)) / x.std(0)
    return Examples(x[order].astype(np.float32), y[order].astype(np.int64))


def rows(start: int, stop: int | None = None) -> Examples:
    """Return a slice of the rows."""
    everything = biopsies()
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
    """Build an MLP of 4,130 parameters."""
    from torch import nn

    return nn.Sequential(
        nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 2)
    )


task = Task("cancer", model=model, client_data=client_data, public_data=public_data)
