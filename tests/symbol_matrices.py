"""Integer matrices for the laws of the entropy coder: like updates, and as unlike as can be."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

EXTREMES = [0, 0, 0, 1, -1, 2, -2, 15, -16, 1000, -70000, 2**31 - 1, -(2**31)]


def draw(seed: int, rows: int, cols: int, density: float, spread: float) -> NDArray[np.int64]:
    """A matrix with row and column structure, as updates have."""
    rng = np.random.default_rng(seed)
    scale = rng.lognormal(0, 1, (rows, 1)) * rng.lognormal(0, 1, (1, cols)) * density
    hit = rng.random((rows, cols)) < np.minimum(scale, 1)
    sign = np.where(rng.random((rows, cols)) < rng.random((rows, 1)), -1, 1)
    return hit * sign * (1 + rng.geometric(1 / (1 + spread), (rows, cols)) - 1)


matrices = st.builds(
    draw,
    st.integers(0, 2**32),
    st.integers(0, 40),
    st.integers(0, 40),
    st.sampled_from([0.0, 0.001, 0.02, 0.3, 2.0]),
    st.sampled_from([0.01, 0.5, 5.0, 300.0]),
)
extreme = st.builds(
    lambda rows, cols, values: np.array(
        [values[i % len(values)] for i in range(rows * cols)], np.int64
    ).reshape(rows, cols),
    st.integers(0, 9),
    st.integers(0, 9),
    st.lists(st.sampled_from(EXTREMES), min_size=1, max_size=50),
)
