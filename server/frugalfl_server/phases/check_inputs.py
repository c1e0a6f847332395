"""Whether an int8 model can see every input, found before the first round.

Its 255 steps are shared by all inputs: they are spread from the smallest to the largest number of
any column. A column that varies by less than one of them is a constant to the model, and no
training helps.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from frugalfl.settings import Settings
from frugalfl.task import Examples, FloatArray, Task

STEPS = 255
#: Most columns that the line about them names.
_MOST_NAMED = 3


def check_inputs(task: Task, settings: Settings, rows: Examples) -> Iterator[str]:
    """Yield a line about columns of the inputs that int8 has no steps for."""
    asked = settings.export.enabled and settings.export.activations == "int8"
    if not asked or settings.wire.private or not task.has_public_rows:
        return
    lost = lost_columns(rows.x)
    if lost:
        low, high = _range_of(rows.x)
        yield (
            f"int8: {_named(lost)} of the inputs {'varies' if len(lost) == 1 else 'vary'} by less "
            f"than one of the {STEPS} steps between {low:.4g} and {high:.4g}, which the exported "
            "model cannot see; scale each column to about -1 to 1 in the task, or set "
            'activations = "int16"'
        )


def lost_columns(x: FloatArray) -> list[int]:
    """Return the columns, or channels, that vary by less than one of int8's steps.

    Args:
        x: Rows, shape ``(rows, columns, ...)``; columns that never vary are not counted.
    """
    if x.ndim < 2 or x.shape[1] < 2:
        return []
    low, high = _range_of(x)
    others = tuple(axis for axis in range(x.ndim) if axis != 1)
    spread = x.max(axis=others).astype(np.float64) - x.min(axis=others)
    return np.flatnonzero((spread > 0) & (spread < (high - low) / STEPS)).tolist()


def _range_of(x: FloatArray) -> tuple[float, float]:
    """Return what int8's steps are spread over: the values, and 0, which has to be one of them."""
    return min(float(x.min()), 0.0), max(float(x.max()), 0.0)


def _named(columns: list[int]) -> str:
    named = ", ".join(map(str, columns[:_MOST_NAMED]))
    more = len(columns) - _MOST_NAMED
    words = "column" if len(columns) == 1 else "columns"
    return f"{words} {named}" + (f" and {more} more" if more > 0 else "")
