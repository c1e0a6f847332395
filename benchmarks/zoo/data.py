"""Rows of the zoo's nets, held by a task: some to train on, some to test with."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from frugalfl import Examples, PublicData, Task
from frugalfl.task import Loss

if TYPE_CHECKING:
    import torch

CALIBRATION_ROWS = 200
SPLIT_SEED = 0


def task_of(
    name: str,
    model: Callable[[], torch.nn.Module],
    rows: Callable[[], Examples],
    test_rows: int,
    loss: str | Loss = "cross_entropy",
) -> Task:
    """Make a task of all rows: the first are the test, clients take turns with the others.

    Args:
        name: Of the task.
        model: Returns a new module.
        rows: Returns every row, in a fixed random order.
        test_rows: How many of them are the test.
        loss: As of a task.
    """

    def client_data(client: int, clients: int) -> Examples:
        every = rows()
        mine = slice(test_rows + client, None, clients)
        return Examples(every.x[mine], every.y[mine])

    def public_data() -> PublicData:
        every, train = rows(), slice(test_rows, test_rows + CALIBRATION_ROWS)
        return PublicData(
            test=Examples(every.x[:test_rows], every.y[:test_rows]),
            calibration=Examples(every.x[train], every.y[train]),
        )

    return Task(name, model=model, client_data=client_data, public_data=public_data, loss=loss)


@lru_cache(maxsize=1)
def digits() -> Examples:
    """Return scikit-learn's 1,797 real 8x8 images: float32 in [0, 1], shape (1797, 1, 8, 8)."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(pixels))
    x = (pixels[order] / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    return Examples(x, labels[order].astype(np.int64))


#: A quarter of the digits.
DIGITS_TEST_ROWS = 450


def flat_digits() -> Examples:
    """Return the digits as rows of 64 values."""
    images = digits()
    return Examples(images.x.reshape(-1, 64), images.y)
