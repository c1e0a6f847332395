"""Averaging updates of clients that trained different blocks.

A block's step is to be the mean over the clients that trained it. A strategy averages whole
models, so a client that did not train a block would drag its mean towards the old value. Such a
client is given the mean step of those that did: the mean over all is then the mean over them, for
whatever strategy is a weighted mean, and what it makes of that mean (momentum, Adam) stays right.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from frugalfl.blocks import Parameters


def complete(updates: Sequence[tuple[Parameters, int]]) -> list[Parameters]:
    """Give every update a step for each tensor that any client trained.

    Args:
        updates: Steps by tensor name, and the client's rows.

    Returns:
        The updates, in order; where all clients trained the same blocks, as they came.
    """
    names = {name for update, _ in updates for name in update}
    means = {
        name: _mean([(update[name], rows) for update, rows in updates if name in update])
        for name in names
        if any(name not in update for update, _ in updates)
    }
    return [means | update for update, _ in updates]


def _mean(steps: list[tuple[np.ndarray, int]]) -> np.ndarray:
    rows = np.array([max(rows, 0) for _, rows in steps], np.float64)
    weights = rows / rows.sum() if rows.sum() else np.full(len(steps), 1 / len(steps))
    total = np.zeros(steps[0][0].shape, np.float64)
    for (step, _), weight in zip(steps, weights, strict=True):
        total += weight * step
    return total.astype(np.float32)
