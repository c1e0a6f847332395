"""A task with 31 images of 8 x 8 a client: one batch of 16, and one that lacks a row."""

from __future__ import annotations

from typing import Any

import numpy as np

from frugalfl.task import Examples, Task

_ROWS = 31


def _rows(client: int, clients: int) -> Examples:
    rng = np.random.default_rng(client)
    x = rng.integers(0, 17, (_ROWS, 1, 8, 8)).astype(np.float32) / 16
    return Examples(x, rng.integers(0, 10, _ROWS))


def _model() -> Any:
    from torch import nn

    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


task = Task("rows to copy", model=_model, client_data=_rows, public_data=lambda: _rows(0, 1))
