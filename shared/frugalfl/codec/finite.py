"""Whether values are numbers that can be worked with."""

from __future__ import annotations

from math import isfinite

import numpy as np

from frugalfl.blocks import FloatArray
from frugalfl.native.rounding import rounder

_FEW = 1 << 13


def is_finite(values: FloatArray) -> bool:
    """Say whether no value is NaN or infinite."""
    # Of few values, a sum of squares is had more quickly; one that is infinite says nothing yet.
    if values.size <= _FEW and isfinite(np.vdot(values, values)):
        return True
    if (quick := rounder(values)) is not None:
        return quick.finite(values)
    return bool(np.isfinite(values).all())
