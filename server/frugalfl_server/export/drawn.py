"""Rows to compare a model's forms on, where the server has none: drawn within the clients' ranges.

An int8 model is made for activations within the ranges that clients gave. So rows are drawn within
the range of the inputs, and of those the ones count on which all activations stay nearest to
theirs. What is compared is the model with itself; how good it is, such rows cannot tell.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from frugalfl.activation_ranges import row_ranges
from frugalfl.task import FloatArray

if TYPE_CHECKING:
    import torch

#: Rows that are compared on, of so many that are drawn.
ROWS, _DRAWN = 64, 128
#: Least signal-to-noise ratio on them (dB): half of that on real rows, whose outputs are larger.
MIN_SQNR_DB = 10.0


def drawn_rows(
    module: torch.nn.Module, ranges: FloatArray, input_shape: tuple[int, ...]
) -> FloatArray:
    """Draw rows; the same ones at every call.

    Args:
        module: The model; left as it was.
        ranges: Of its activations, shape ``(tensors, 2)``; the input is tensor 0.
        input_shape: Shape of one row as PyTorch takes it.

    Returns:
        float32, shape ``(ROWS, *input_shape)``.
    """
    rng, (low, high) = np.random.default_rng(0), ranges[0]
    size = rng.uniform(0.1, 1, (_DRAWN, *[1] * len(input_shape)))
    drawn = (low + high) / 2 + size * (high - low) / 4 * rng.normal(size=(_DRAWN, *input_shape))
    rows: FloatArray = np.clip(drawn, low, high).astype(np.float32)
    seen = row_ranges(copy.deepcopy(module).cpu().float(), rows)
    if seen.shape[1] != len(ranges):
        return rows[:ROWS]  # of another model: the export says so
    width = np.maximum(ranges[:, 1] - ranges[:, 0], np.finfo(np.float32).tiny)
    beyond = np.maximum(ranges[:, 0] - seen[..., 0], seen[..., 1] - ranges[:, 1]) / width
    nearest = np.argsort(np.maximum(beyond, 0).max(axis=1), kind="stable")[:ROWS]
    return rows[np.sort(nearest)]
