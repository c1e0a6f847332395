"""Whether values are numbers that can be worked with."""

from __future__ import annotations

import numpy as np

from frugalfl.blocks import FloatArray
from frugalfl.native.rounding import rounder


def is_finite(values: FloatArray) -> bool:
    """Say whether no value is NaN or infinite."""
    if (quick := rounder(values)) is not None:
        return quick.finite(values)
    return bool(np.isfinite(values).all())
