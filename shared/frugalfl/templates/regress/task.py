"""Predict a value: the electric power that a pump draws, from what it delivers.

To make it yours: `client_data` reads this device's own rows, `public_data` what the server may see
to measure on, `model` builds the network. docs/task.md has the rules. Inputs and targets are scaled
to about -1 to 1 before the network sees them; the constants travel with the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from frugalfl import Examples, PublicData, Task
from frugalfl.metrics import Measure

if TYPE_CHECKING:
    import torch
    from torch import nn

#: Name, lowest and highest value that is expected: agreed on beforehand, not taken from rows.
INPUTS = {"flow m3/h": (5, 60), "head m": (5, 40), "speed 1/min": (1200, 3000), "water C": (5, 80)}
TARGET = {"power kW": (0, 12)}
ROWS = 200


def scaled(values: np.ndarray, ranges: dict[str, tuple[float, float]]) -> np.ndarray:
    """Scale columns from their expected ranges to -1 to 1."""
    low, high = np.array(list(ranges.values()), np.float64).T
    return ((2 * values - low - high) / (high - low)).astype(np.float32)


def kilowatts(outputs: np.ndarray) -> np.ndarray:
    """Turn what the network says, or a target, back into kW."""
    low, high = TARGET["power kW"]
    return (outputs.astype(np.float64) * (high - low) + low + high) / 2


def measured_pump(seed: int) -> Examples:
    """Make up readings of one pump: each is worn differently and works at other points."""
    rng = np.random.default_rng(seed)
    low, high = np.array(list(INPUTS.values()), np.float64).T
    part = rng.uniform(0.3, 0.7, 4) + rng.uniform(-0.3, 0.3, (ROWS, 4))
    flow, head, speed, water = (low + part * (high - low)).T
    best = 12 + speed / 100  # m3/h, where the pump is most efficient
    efficiency = rng.uniform(0.68, 0.76) - 0.2 * ((flow - best) / 40) ** 2
    density = 1000 - 0.004 * (water - 4) ** 2
    power = density * 9.81 * flow / 3600 * head / efficiency / 1000 + 0.1 * (speed / 1000) ** 3
    power *= rng.normal(1, 0.02, ROWS)
    x = np.stack([flow, head, speed, water], axis=1)
    return Examples(scaled(x, INPUTS), scaled(power[:, None], TARGET))


def client_data(client: int, clients: int) -> Examples:
    """This device's own rows. Here: readings of pump number `client`."""
    return measured_pump(seed=client + 1)


def public_data() -> PublicData:
    """What the server may see: readings of a pump on its test stand, which no client has."""
    return PublicData(test=measured_pump(seed=0))


def model() -> nn.Module:
    """A fresh model. PyTorch is imported here, so that devices without it can read the data."""
    from torch import nn

    return nn.Sequential(
        nn.Linear(4, 32), nn.ReLU(),
        nn.Linear(32, 32), nn.ReLU(),
        nn.Linear(32, 1),
    )  # fmt: skip


def squared_error(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean squared error, of the scaled power."""
    return ((outputs - targets) ** 2).mean()


def error_kw(outputs: np.ndarray, targets: np.ndarray) -> float:
    """Root of the mean squared error in kW: the first metric is what reports show."""
    return float(np.sqrt(np.mean((kilowatts(outputs) - kilowatts(targets)) ** 2)))


task = Task(
    "__NAME__",
    model=model,
    client_data=client_data,
    public_data=public_data,
    loss=squared_error,
    kind="regression",
    metrics={"rmse_kw": Measure(error_kw, better="lower", unit="kW")},
    about={"inputs": INPUTS, "output": TARGET, "scaling": "expected range to -1 to 1"},
)
