import numpy as np
import pytest

from frugalfl.blocks import Layout, snap
from frugalfl.errors import FrameError, TaskError, UsageError


def layout(*names):
    return Layout.of({name: np.zeros(2, np.float32) for name in names})


THREE = layout("conv.weight", "conv.bias", "dense1.weight", "dense2.weight", "dense2.bias")


def test_a_layer_is_a_block():
    assert [block.name for block in THREE.blocks] == ["conv", "dense1", "dense2"]
    assert THREE.names([2, 0]) == ["conv.weight", "conv.bias", "dense2.weight", "dense2.bias"]


def test_blocks_are_found_by_shell_patterns():
    assert THREE.matching(["dense?"]) == (1, 2)
    assert THREE.matching(["conv", "*2"]) == (0, 2)
    with pytest.raises(UsageError, match="no block matches 'lstm'; .* conv, dense1, dense2"):
        THREE.matching(["dense*", "lstm"])


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ((), "names no block"),
        ((0, 3), "names block 3.*has 3"),
        ((-1,), "block -1"),
        ((1, 1), "twice"),
    ],
)
def test_block_numbers_from_a_message_are_not_trusted(chosen, message):
    with pytest.raises(FrameError, match=message):
        THREE.check(chosen)


def test_models_travel_in_float32():
    with pytest.raises(TaskError, match="'w' is float64"):
        Layout.of({"w": np.zeros(2)})


def test_snap_is_idempotent_and_near():
    values = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    snapped = snap(values)
    np.testing.assert_array_equal(snap(snapped), snapped)
    assert np.abs(snapped - values).max() <= 2.0**-15


def test_sums_of_snapped_values_do_not_depend_on_their_order():
    values = snap(np.random.default_rng(0).normal(size=(50, 100)).astype(np.float32) * 10)
    forwards = backwards = np.zeros(100, np.float32)
    for row in values:
        forwards = forwards + row
    for row in values[::-1]:
        backwards = backwards + row
    np.testing.assert_array_equal(forwards, backwards)


def test_snap_refuses_a_diverged_model():
    with pytest.raises(TaskError, match="diverged"):
        snap(np.float32([1e9]))
