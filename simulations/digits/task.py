"""Handwritten digits: 1,797 real 8x8 images that come with FrugalFL, split over the clients."""

from functools import lru_cache

import numpy as np

from frugalfl import Examples, PublicData, Task
from frugalfl.digits import load_digits
from frugalfl_sim.partition import dirichlet

#: The spare rows are nobody's; benchmarks calibrate with them, to compare.
TEST_ROWS, SPARE_ROWS = 360, 90
SPLIT_SEED = 7


@lru_cache(maxsize=1)
def images() -> Examples:
    """Return all images in a fixed random order: float32 in [0, 1], shape (1797, 1, 8, 8)."""
    everything = load_digits()
    order = np.random.default_rng(SPLIT_SEED).permutation(len(everything))
    return Examples(everything.x[order], everything.y[order])


def rows(start: int, stop: int | None = None) -> Examples:
    """Return a slice of the images."""
    everything = images()
    return Examples(everything.x[start:stop], everything.y[start:stop])


def public_data() -> PublicData:
    """The server's held-back rows, to measure on; int8 is calibrated by the clients."""
    return PublicData(test=rows(0, TEST_ROWS))


def client_data(client: int, clients: int) -> Examples:
    """One client's rows: its share of each digit is drawn from Dirichlet(0.5)."""
    private = rows(TEST_ROWS + SPARE_ROWS)
    mine = dirichlet(private.y, clients, alpha=0.5, seed=SPLIT_SEED)[client]
    return Examples(private.x[mine], private.y[mine])


def model():  # type: ignore[no-untyped-def]
    """Build a CNN of 38,282 parameters: two convolutions, two dense layers."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
        nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


task = Task("digits", model=model, client_data=client_data, public_data=public_data)
