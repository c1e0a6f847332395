import numpy as np
import pytest

from frugalfl.blocks import Layout, parse_plan, snap
from frugalfl.errors import TaskError, UsageError


def layout(*names):
    return Layout.of({name: np.zeros(2, np.float32) for name in names})


THREE = layout("conv.weight", "conv.bias", "dense1.weight", "dense2.weight", "dense2.bias")


def test_a_layer_is_a_block():
    assert [block.name for block in THREE.blocks] == ["conv", "dense1", "dense2"]
    assert THREE.names([2, 0]) == ["conv.weight", "conv.bias", "dense2.weight", "dense2.bias"]


@pytest.mark.parametrize(
    ("text", "rounds"),
    [
        ("full", [(0, 1, 2), (0, 1, 2), (0, 1, 2)]),
        ("last(1)", [(2,), (2,), (2,)]),
        ("last(2)", [(1, 2), (1, 2), (1, 2)]),
        ("alternate(full, last(1))", [(0, 1, 2), (2,), (0, 1, 2)]),
        ("alternate(last(1), last(2), full)", [(2,), (1, 2), (0, 1, 2)]),
    ],
)
def test_plans(text, rounds):
    plan = parse_plan(text)
    assert [plan(number, THREE) for number in (1, 2, 3)] == rounds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fll", "did you mean 'full'"),
        ("last", "takes 1 arguments"),
        ("last(0)", "at least 1"),
        ("last(x)", "whole number"),
        ("alternate(full)", "takes 2 to 16"),
        ("last(2", "'\\)' is missing"),
        ("full full", "left over"),
        ("full; rm", "cannot read"),
        ("", "cannot read"),
    ],
)
def test_a_wrong_plan_is_explained(text, message):
    with pytest.raises(UsageError, match=message):
        parse_plan(text)


def test_more_blocks_than_the_model_has():
    with pytest.raises(UsageError, match=r"last\(9\) asks for more than the model's 3"):
        parse_plan("last(9)")(1, THREE)


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
