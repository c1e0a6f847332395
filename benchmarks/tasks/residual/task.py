"""Handwritten digits with a residual CNN: 38,122 numbers, 1.5 million multiply-accumulates.

The kind of network that structured pruning finds hardest: the channels of a residual's two ends
can only go together.
"""

from functools import lru_cache

import numpy as np

from frugalfl import Examples, PublicData, Task
from frugalfl_sim.partition import dirichlet

TEST_ROWS, CALIBRATION_ROWS = 360, 90
SPLIT_SEED = 7
CHANNELS = 32


@lru_cache(maxsize=1)
def _rows() -> Examples:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(pixels))
    x = (pixels[order] / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    return Examples(x, labels[order].astype(np.int64))


def _slice(rows: object) -> Examples:
    return Examples(_rows().x[rows], _rows().y[rows])


def public_data() -> PublicData:
    """The server's rows."""
    held = TEST_ROWS + CALIBRATION_ROWS
    return PublicData(test=_slice(slice(TEST_ROWS)), calibration=_slice(slice(TEST_ROWS, held)))


def client_data(client: int, clients: int) -> Examples:
    """One client's rows: its share of each digit is drawn from Dirichlet(0.5)."""
    first = TEST_ROWS + CALIBRATION_ROWS
    return _slice(first + dirichlet(_rows().y[first:], clients, alpha=0.5, seed=SPLIT_SEED)[client])


def model():  # type: ignore[no-untyped-def]
    """Build the network: a stem, two residual blocks, the second on half the resolution."""
    from torch import nn
    from torch.nn.functional import pad

    class Block(nn.Module):
        def __init__(self, stride: int) -> None:
            super().__init__()
            # Padding apart from the strided convolution becomes one SAME convolution in TFLite.
            self.stride = stride
            self.one = nn.Conv2d(CHANNELS, CHANNELS, 3, stride, padding=stride % 2, bias=False)
            self.norm_one = nn.BatchNorm2d(CHANNELS)
            self.two = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False)
            self.norm_two = nn.BatchNorm2d(CHANNELS)
            self.shorter = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()

        def forward(self, x):  # type: ignore[no-untyped-def]
            inner = x if self.stride == 1 else pad(x, (0, 1, 0, 1))
            inner = self.norm_one(self.one(inner)).relu()
            return (self.norm_two(self.two(inner)) + self.shorter(x)).relu()

    return nn.Sequential(
        nn.Conv2d(1, CHANNELS, 3, padding=1, bias=False), nn.BatchNorm2d(CHANNELS), nn.ReLU(),
        Block(1), Block(2), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(CHANNELS, 10),
    )  # fmt: skip


task = Task("residual", model=model, client_data=client_data, public_data=public_data)
