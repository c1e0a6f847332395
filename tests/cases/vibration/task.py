"""Anomaly detection on made vibration: an autoencoder of sound machines' spectra.

A window is 128 samples at 1.6 kHz of a shaft with three harmonics and noise; a client's machine has
its own speed and its own harmonics. The row is the logarithm of its spectrum, 64 numbers. A worn
bearing knocks, which rings at 500 Hz: such windows are nobody's training rows, and the model does
not know how to rebuild them.
"""

import numpy as np

from frugalfl import Examples, PublicData, Task

SAMPLES, RATE_HZ = 128, 1600.0
ROWS, TEST_ROWS = 120, 400


def windows(rows: int, seed: int, worn: bool = False) -> np.ndarray:
    """Return the spectra of windows of one machine, float32, shape (rows, 64)."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(SAMPLES) / RATE_HZ
    shaft_hz, sizes = rng.uniform(24, 30), rng.uniform(0.3, 1.0, 3)
    load = rng.uniform(0.7, 1.3, (rows, 1))
    signal = rng.normal(0, 0.15, (rows, SAMPLES))
    for order, size in zip((1, 2, 3), sizes, strict=True):
        phase = rng.uniform(0, 2 * np.pi, (rows, 1))
        signal += load * size * np.sin(2 * np.pi * order * shaft_hz * time_s + phase)
    if worn:
        knock = np.exp(-60 * (time_s % (1 / (3.1 * shaft_hz)))) * np.sin(2 * np.pi * 500 * time_s)
        signal += rng.uniform(0.5, 1.0, (rows, 1)) * knock
    spectrum = np.abs(np.fft.rfft(signal * np.hanning(SAMPLES), axis=1))[:, 1:]
    return (np.log1p(spectrum) / 2).astype(np.float32)


def machines(rows: int, seeds: range, worn: bool = False) -> Examples:
    """Return windows of several machines, which are their own targets."""
    x = np.concatenate([windows(rows // len(seeds), seed, worn) for seed in seeds])
    return Examples(x, x.copy())


def client_data(client: int, clients: int) -> Examples:
    """One client's machine, and one more that its hall has."""
    return machines(ROWS, range(100 + 2 * client, 102 + 2 * client))


def public_data() -> PublicData:
    """Windows of machines that no client has, all of them sound."""
    return PublicData(test=machines(TEST_ROWS, range(8)))


def model():
    """Build an autoencoder of dense layers: 64, 32, 8, 32, 64."""
    from torch import nn

    return nn.Sequential(
        nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 8), nn.ReLU(),
        nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 64),
    )  # fmt: skip


def squared_error(outputs, targets):
    """Return the mean squared error."""
    return (outputs - targets).square().mean()


task = Task(
    "vibration", model=model, client_data=client_data, public_data=public_data, loss=squared_error
)
