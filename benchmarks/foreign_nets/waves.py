"""Made rows that a net can learn: each class is a wave of its own frequency, in noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from frugalfl import Examples, PublicData, Task

CLIENT_ROWS, TEST_ROWS = 64, 300
NOISE = 0.2


def rows(shape: tuple[int, ...], classes: int, count: int, seed: int) -> Examples:
    """Draw rows.

    Args:
        shape: Of a row; the wave runs along its last axis, or slanted over its last two if
            there are three axes.
        classes: How many there are.
        count: Rows.
        seed: Of the draw; the classes are the same for every seed.
    """
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, count)
    turned = 2 * np.pi if len(shape) == 3 else np.pi / 2  # a place of an image means nothing
    phase = rng.uniform(0, turned, (count, *[1] * len(shape)))
    place = np.indices(shape)[-2:] if len(shape) == 3 else np.indices(shape)[-1:]
    turn = np.pi * np.arange(classes) / classes
    cycle = 0.5 + 2 * np.arange(classes) / classes if len(place) == 1 else np.full(classes, 1.2)
    slant = [np.cos(turn) * cycle, np.sin(turn) * cycle] if len(place) == 2 else [cycle]
    angle = sum(
        step[y].reshape(-1, *[1] * len(shape)) * along[None]
        for step, along in zip(slant, place, strict=True)
    )
    x = np.sin(angle + phase) + NOISE * rng.normal(size=(count, *shape))
    return Examples(x.astype(np.float32), y.astype(np.int64))


def task_of(name: str, model: Callable[[], object], shape: tuple[int, ...], classes: int) -> Task:
    """Return the task of telling such waves apart with a net."""
    return Task(
        name,
        model=model,
        client_data=lambda client, clients: rows(shape, classes, CLIENT_ROWS, 100 + client),
        public_data=lambda: PublicData(rows(shape, classes, TEST_ROWS, 1)),
    )
