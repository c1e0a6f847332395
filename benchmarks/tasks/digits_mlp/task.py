"""Digits as 64 numbers, 17 or 18 rows a client whatever the number of clients, and an MLP."""

from functools import lru_cache

import numpy as np

from frugalfl import Examples, PublicData, Task
from frugalfl.digits import load_digits

SPLIT_SEED = 7
#: Clients that share one shuffle of all images.
_SHARING = 100


@lru_cache(maxsize=1)
def images() -> Examples:
    """Return all images: float32 in [0, 1], shape (1797, 64)."""
    everything = load_digits()
    return Examples(everything.x.reshape(len(everything), 64), everything.y)


@lru_cache(maxsize=1)
def split(rows: int, clients: int, seed: int = SPLIT_SEED) -> list[np.ndarray]:
    """Return the rows of every client: independent of their classes, alike in number.

    Each hundred clients share one shuffle of all rows; further hundreds shuffle anew, so that
    10,000 clients have as many rows each as 100.
    """
    rng = np.random.default_rng(seed)
    parts: list[np.ndarray] = []
    while len(parts) < clients:
        parts += np.array_split(rng.permutation(rows), _SHARING)
    return parts[:clients]


def public_data() -> PublicData:
    """All images: what is measured is whether it trains, not how well it generalises."""
    return PublicData(test=images())


def client_data(client: int, clients: int) -> Examples:
    """One client's rows."""
    everything = images()
    mine = split(len(everything), clients)[client]
    return Examples(everything.x[mine], everything.y[mine])


def model():  # type: ignore[no-untyped-def]
    """Build an MLP of 2,410 parameters."""
    from torch import nn

    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


task = Task("digits-mlp", model=model, client_data=client_data, public_data=public_data)
