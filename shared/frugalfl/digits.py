"""Handwritten digits that come along: real data for a first federation, on any device.

1,797 images of 8x8 pixels by 13 people, each pixel the number of black dots (0 to 16) in 4x4: the
test part of "Optical Recognition of Handwritten Digits" by E. Alpaydin and C. Kaynak, 1998, UCI
Machine Learning Repository, doi:10.24432/C50P49, under CC BY 4.0, in the order that scikit-learn
has them in.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from frugalfl.examples import Examples


def load_digits() -> Examples:
    """Return all images: float32 in [0, 1], shape ``(1797, 1, 8, 8)``, and digits 0 to 9."""
    with np.load(Path(__file__).with_name("digits.npz")) as kept:
        x = (kept["pixels"] / 16).astype(np.float32).reshape(-1, 1, 8, 8)
        return Examples(x, kept["labels"].astype(np.int64))
