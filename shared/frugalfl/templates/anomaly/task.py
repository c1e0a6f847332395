"""Find what is unusual: an autoencoder learns how healthy bearings vibrate.

What it cannot rebuild is unusual: `python detect.py runs/latest` tells healthy from worn bearings
with the int8 model. To make it yours: `client_data` reads this device's own healthy windows,
`public_data` what the server may see, `model` builds the network. docs/task.md has the rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from frugalfl import Examples, PublicData, Task

if TYPE_CHECKING:
    import torch
    from torch import nn

RATE_HZ, SAMPLES = 2000, 128
BANDS = SAMPLES // 2
WINDOWS = 200
#: Numbers of the bearings that the server may see.
TEST_STAND = (1000, 1001, 1002)
#: Loudness of a band, ln(1 + g), that counts as 1: agreed on beforehand, not taken from rows.
FULL = 3.5


def spectra(signal: np.ndarray) -> np.ndarray:
    """Turn windows of acceleration (g), shape (windows, SAMPLES), into bands between 0 and 1."""
    bands = np.abs(np.fft.rfft(signal * np.hanning(SAMPLES)))[:, 1 : BANDS + 1]
    return np.clip(np.log1p(bands) / FULL, 0, 1).astype(np.float32)


def recording(seed: int, worn: bool = False) -> np.ndarray:
    """Make up windows of one bearing: its shaft, two harmonics, noise; worn ones knock as well."""
    rng = np.random.default_rng(seed)
    time = np.arange(SAMPLES) / RATE_HZ
    shaft_hz = rng.uniform(80, 120, (WINDOWS, 1))  # the load changes
    angle = 2 * np.pi * shaft_hz * time + rng.uniform(0, 2 * np.pi, (WINDOWS, 1))
    loud = rng.normal(1, 0.05, 3)[:, None] * np.array([[1.0], [0.5], [0.25]])
    signal = sum(loud[n] * np.sin((n + 1) * angle) for n in range(3))
    if worn:  # each turn a ball passes the damage, and the housing rings
        ringing = np.sin(2 * np.pi * 640 * time) * (0.5 + 0.5 * np.cos(3.6 * angle))
        signal = signal + rng.uniform(0.2, 0.6, (WINDOWS, 1)) * ringing
    return signal + rng.normal(0, 0.05, signal.shape)


def examples(*seeds: int) -> Examples:
    """Return healthy windows of some bearings; an autoencoder's targets are its inputs."""
    x = np.concatenate([spectra(recording(seed)) for seed in seeds])
    return Examples(x, x)


def client_data(client: int, clients: int) -> Examples:
    """This device's own rows. Here: windows of bearing number `client`."""
    return examples(client + 1)


def public_data() -> PublicData:
    """What the server may see: windows of bearings on a test stand, which no client has."""
    return PublicData(test=examples(*TEST_STAND))


def model() -> nn.Module:
    """A fresh model. PyTorch is imported here, so that devices without it can read the data."""
    from torch import nn

    return nn.Sequential(
        nn.Linear(BANDS, 32), nn.ReLU(),
        nn.Linear(32, BANDS),
    )  # fmt: skip


def squared_error(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean squared error of the rebuilt bands."""
    return ((outputs - targets) ** 2).mean()


task = Task(
    "__NAME__",
    model=model,
    client_data=client_data,
    public_data=public_data,
    loss=squared_error,
    kind="reconstruction",
    about={
        "input": f"{BANDS} bands of a spectrum: ln(1 + |FFT|) / {FULL}, 0 to 1",
        "window": {"samples": SAMPLES, "rate_hz": RATE_HZ, "shape": "Hann", "unit": "g"},
        "score": "mean squared difference of output and input; higher is more unusual",
    },
)
