"""Regression: scikit-learn's diabetes data, progression of the disease after one year."""

from functools import lru_cache

import numpy as np

from frugalfl import Examples, PublicData, Task

TEST_ROWS = 110
#: Mean and spread of the score, which the model's last step undoes.
MEAN, SPREAD = 152.0, 77.0


@lru_cache(maxsize=1)
def patients() -> Examples:
    """Return all 442 patients in a fixed random order: 10 measurements, and the score."""
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    order = np.random.default_rng(3).permutation(len(x))
    scaled = x[order] * np.sqrt(len(x))  # each measurement has mean 0 and spread 1
    return Examples(scaled.astype(np.float32), y[order, None].astype(np.float32))


def client_data(client: int, clients: int) -> Examples:
    """One clinic's patients."""
    everybody = patients()
    mine = slice(TEST_ROWS + client, None, clients)
    return Examples(everybody.x[mine], everybody.y[mine])


def public_data() -> PublicData:
    """The patients that no clinic has."""
    everybody = patients()
    return PublicData(test=Examples(everybody.x[:TEST_ROWS], everybody.y[:TEST_ROWS]))


def model():
    """Build a network of two hidden layers that answers in the score's own unit."""
    from torch import nn

    class Foresee(nn.Module):
        """Three dense layers, then the score's mean and spread."""

        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(
                nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 1)
            )

        def forward(self, x):
            """Return the score, shape (rows, 1)."""
            return MEAN + SPREAD * self.layers(x)

    return Foresee()


def squared_error(outputs, targets):
    """Return the mean squared error in spreads of the score, so that steps are of a usual size."""
    return ((outputs - targets) / SPREAD).square().mean()


task = Task(
    "diabetes", model=model, client_data=client_data, public_data=public_data, loss=squared_error
)
