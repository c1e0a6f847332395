"""The mini-batches of many clients: exactly those that each draws alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from frugalfl import native
from frugalfl.blocks import FloatArray
from frugalfl.native.batches import draw_batches as draw_in_core
from frugalfl_client.training.batches import batches

_Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DrawnBatches:
    """Batches of some clients, side by side.

    Attributes:
        rows: Shape ``(steps, clients, width)``: row numbers, counted through all clients.
        weights: Of the same shape: one by the length of the batch. What fills up short batches,
            and the steps after a client's last, has weight 0.
        counts: Steps of each client.
        widths: Longest batch of each step.
    """

    rows: _Rows
    weights: FloatArray
    counts: list[int]
    widths: list[int]


def draw_batches(
    seeds: Sequence[tuple[int, ...]], rows: Sequence[int], epochs: int, size: int, least: int
) -> DrawnBatches:
    """Draw the batches of clients that each have a seed and at least one row.

    Args:
        seeds: Of each client, as of :meth:`~frugalfl_client.training.trainer.Trainer.train`.
        rows: How many rows each has.
        epochs: Passes over the rows.
        size: Of a batch.
        least: Rows that the last batch of several is filled up to.
    """
    counts = [-(-number // size) * epochs for number in rows]
    shape = max(counts), len(rows), min(size, max(rows))
    if native.core() is not None and _core_draws_as_numpy():
        given = np.array(rows, np.uint32)
        chosen, weights = draw_in_core(seeds, given, epochs, size, least, shape)
    else:
        chosen, weights = _draw_in_python(seeds, rows, epochs, size, least, shape)
    return DrawnBatches(chosen, weights, counts, np.count_nonzero(weights, 2).max(1).tolist())


def _draw_in_python(
    seeds: Sequence[tuple[int, ...]],
    rows: Sequence[int],
    epochs: int,
    size: int,
    least: int,
    shape: tuple[int, int, int],
) -> tuple[_Rows, FloatArray]:
    firsts = np.cumsum([0, *rows[:-1]])
    chosen = np.broadcast_to(firsts[:, None], shape).copy()
    weights = np.zeros(shape, np.float32)
    for client, (seed, number) in enumerate(zip(seeds, rows, strict=True)):
        rng, step = np.random.default_rng(seed), 0
        for _ in range(epochs):
            for batch in batches(number, size, rng, least):
                chosen[step, client, : len(batch)] += batch
                weights[step, client, : len(batch)] = np.float32(1) / np.float32(len(batch))
                step += 1
    return chosen, weights


@cache
def _core_draws_as_numpy() -> bool:
    """Say whether this numpy draws as the core does: its next version may draw otherwise."""
    seeds, rows = [(1, 2, 3), (1 << 40,)], [37, 5]
    asked = (2, 8, 3, (10, 2, 8))
    chosen, weights = draw_in_core(seeds, np.array(rows, np.uint32), *asked)
    as_python, weights_as_python = _draw_in_python(seeds, rows, *asked)
    return np.array_equal(chosen, as_python) and np.array_equal(weights, weights_as_python)
