"""Frames that were written once must be readable for ever.

The files were made by ``python tests/golden/make_frames.py`` when format 1 was settled. If a test
here fails, the format has changed: give it a new number, and keep reading the old one.
"""

from pathlib import Path

import numpy as np
import pytest

from frugalfl.blocks import Layout
from frugalfl.codec import Limits, decode_frame

FOLDER = Path(__file__).parent / "frames"
FRAMES = sorted(FOLDER.glob("*.frame"))


@pytest.mark.parametrize("path", FRAMES, ids=lambda path: path.stem)
def test_old_frames_decode_to_the_same_values(path):
    with np.load(path.with_suffix(".npz")) as expected:
        values = {name: expected[name] for name in expected.files}
    layout = Layout.of(values)
    got = decode_frame(path.read_bytes(), Limits.of(layout)).named(layout)
    for name, tensor in values.items():
        np.testing.assert_allclose(got[name], tensor, rtol=1e-6, atol=1e-7)


def test_every_link_has_a_golden_frame():
    from frugalfl.codec.registry import ENDS, TRANSFORMS

    words = {word for path in FRAMES for word in path.stem.split("-")}
    assert words >= {*TRANSFORMS, *ENDS}
