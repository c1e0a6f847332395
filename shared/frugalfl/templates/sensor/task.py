"""Tell the state of a machine from an accelerometer: three axes, windows of 1.28 s.

Without SENSOR_DATA it learns from recordings that example.py makes up. For your own set SENSOR_DATA
on every device and the server to a folder with machine-0.csv (or .parquet), machine-1.csv ... and
public.csv, with the columns below (`python example.py FOLDER` writes such files). Then change AXES,
LABELS, the window and the scaling to what your sensor gives: they travel with the model.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import example
import numpy as np
from recordings import cut, read_columns

from frugalfl import Examples, PublicData, Task

if TYPE_CHECKING:
    from torch import nn

#: Columns of a recording: one row a sample, and what the machine did then.
AXES, STATE = ("ax", "ay", "az"), "state"
LABELS = ("off", "idle", "running", "jammed")
RATE_HZ, WINDOW, STEP = 50, 64, 32  # samples
#: Mean and spread of each axis (g) that are expected: agreed on beforehand, not taken from rows.
MEAN, SPREAD = (0.0, 0.0, 1.0), (0.5, 0.5, 0.5)


def recording(name: str) -> Examples:
    """Return the windows of one recording: x float32 (windows, axes, WINDOW), y class numbers."""
    folder = os.environ.get("SENSOR_DATA")
    if folder is None:
        columns = example.recording(name)
    else:
        columns = read_columns(Path(folder), name, (*AXES, STATE))
    samples = np.stack([columns[axis] for axis in AXES], axis=1).astype(np.float64)
    states = np.array([LABELS.index(state) for state in columns[STATE]])
    x, y = cut((samples - MEAN) / SPREAD, states, WINDOW, STEP)
    return Examples(x.astype(np.float32), y)


def client_data(client: int, clients: int) -> Examples:
    """This device's own recording."""
    return recording(f"machine-{client}")


def public_data() -> PublicData:
    """What the server may see: a recording on a test stand, which no client has."""
    return PublicData(test=recording("public"))


def model() -> nn.Module:
    """A fresh model. PyTorch is imported here, so that devices without it can read the data."""
    from torch import nn

    return nn.Sequential(
        nn.Conv1d(len(AXES), 16, 5, stride=2), nn.ReLU(),
        nn.Conv1d(16, 32, 5, stride=2), nn.ReLU(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(),
        nn.Linear(32, len(LABELS)),
    )  # fmt: skip


task = Task(
    "__NAME__",
    model=model,
    client_data=client_data,
    public_data=public_data,
    about={
        "labels": list(LABELS),
        "inputs": list(AXES),
        "unit": "g",
        "window": {"samples": WINDOW, "step": STEP, "rate_hz": RATE_HZ},
        "scaling": {"mean": list(MEAN), "spread": list(SPREAD)},
    },
)
