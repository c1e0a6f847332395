"""Recording the ranges of activations, merging them, and finding them in a converted file."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from frugalfl.activation_ranges import MOST_ROWS, ranges_of
from frugalfl.errors import ExportError
from frugalfl_server import export
from frugalfl_server.export.quantize import calibrate_ranges
from frugalfl_server.phases.merge_ranges import FAR, merge_ranges

ROWS = np.random.default_rng(0).normal(size=(12, 6)).astype(np.float32)


def test_every_tensor_is_recorded_in_order_and_views_are_not():
    model = nn.Sequential(nn.Unflatten(1, (2, 3)), nn.Flatten(), nn.ReLU(), nn.Hardtanh(0.5, 2.0))
    ranges = ranges_of(model, ROWS)
    low, high = ROWS.min(), ROWS.max()
    # 0.5 becomes 0: every range holds it.
    np.testing.assert_allclose(ranges, [[low, high], [0, high], [0, min(high, 2)]], rtol=1e-6)


def test_a_part_of_a_tensor_has_a_range_of_its_own():
    class Part(nn.Module):
        def forward(self, x):
            return x[:, :2]

    part = ROWS[:, :2]
    np.testing.assert_allclose(ranges_of(Part(), ROWS)[1], [part.min(), part.max()])


def test_the_model_runs_as_it_will_on_the_device():
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Dropout(0.5), nn.BatchNorm1d(6)).train()
    rows = ROWS.copy()
    first, second = ranges_of(model, rows), ranges_of(model, rows)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(rows, ROWS)
    assert model[2].num_batches_tracked == 0


def test_a_percentile_leaves_out_rows_that_reach_far():
    rows = np.tile(ROWS, (10, 1))
    rows[7, 0], rows[8, 1] = 1e4, -1e4
    assert np.abs(ranges_of(nn.ReLU(), rows, 95)).max() < 10
    assert np.abs(ranges_of(nn.ReLU(), rows)).max() == 1e4


def test_many_rows_are_thinned_out():
    rows = np.zeros((3 * MOST_ROWS, 1), np.float32)
    rows[-1] = 5  # the last one is always among them
    assert ranges_of(nn.Identity(), rows)[0, 1] == 5


REACH = st.floats(0.1, 10)
HONEST = st.lists(st.tuples(REACH, REACH, REACH), min_size=3, max_size=9)
ANYTHING = st.floats(width=32)


@given(HONEST, st.lists(ANYTHING, min_size=6, max_size=6))
def test_no_single_client_ruins_a_scale(reaches, bad):
    honest = [np.array([[-one, one / 2] for one in client], np.float32) for client in reaches]
    replies = dict(enumerate([*honest, np.array(bad, np.float32).reshape(3, 2)]))
    ranges, complaints = merge_ranges(replies, 3)
    assert ranges is not None
    assert (np.abs(ranges) <= FAR * np.max(np.abs(honest), axis=(0, 2))[:, None] * 1.001).all()
    kept = [one for node, one in replies.items()
            if not any(text.startswith(f"node {node}:") for text in complaints)]  # fmt: skip
    for one in kept:
        assert (ranges[:, 0] <= one[:, 0]).all() and (ranges[:, 1] >= one[:, 1]).all()


@given(st.permutations(range(5)))
def test_the_order_of_replies_does_not_matter(order):
    drawn = np.random.default_rng(1).normal(size=(5, 4, 2)).astype(np.float32)
    replies = {node: np.sort(drawn[node], axis=1) for node in order}
    expected, _ = merge_ranges(dict(sorted(replies.items())), 4)
    np.testing.assert_array_equal(merge_ranges(replies, 4)[0], expected)


def test_a_unit_that_seldom_fires_makes_nobody_an_outlier():
    replies = {node: np.array([[0, 0.3 if node == 4 else 0]], np.float32) for node in range(5)}
    ranges, complaints = merge_ranges(replies, 1)
    assert complaints == []
    np.testing.assert_allclose(ranges, [[0, 0.3]])


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.last = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 4)

    def forward(self, x):
        return self.last(self.attention(x, x, x, need_weights=False)[0].mean(1))


def test_attention_is_recorded_operator_by_operator():
    model = Attention().eval()
    float_model = export.convert(model, (6, 8))
    rows = np.random.default_rng(0).normal(size=(8, 6, 8)).astype(np.float32)
    named = export.name_ranges(model, float_model, (6, 8), ranges_of(model, rows))
    for name, seen in calibrate_ranges(float_model, rows).items():
        low, high = named[name]
        slack = 1e-3 * (high - low)
        assert low - slack <= seen["min"].min() and seen["max"].max() <= high + slack, name


def test_a_tensor_that_nobody_recorded_or_bounds_is_named():
    model, other = (nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 4)) for _ in range(2))
    recorded = ranges_of(model, np.zeros((1, 8), np.float32))
    with pytest.raises(ExportError, match=r"^0 \(Linear\) computes .* public calibration"):
        export.name_ranges(model, export.convert(other, (8,)), (8,), recorded)


def test_the_same_rows_give_the_same_file_either_way():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv1d(3, 8, 3, padding=1), nn.BatchNorm1d(8), nn.ReLU6(), nn.MaxPool1d(2),
        nn.Flatten(), nn.Linear(64, 4), nn.Softmax(1),
    )  # fmt: skip
    model(torch.randn(32, 3, 16))
    rows = np.random.default_rng(0).normal(size=(40, 3, 16)).astype(np.float32)
    float_model = export.convert(model, (3, 16))
    named = export.name_ranges(model, float_model, (3, 16), ranges_of(model, rows))
    typical = export.to_model_layout(rows, float_model)
    direct, federated = (export.quantize(float_model, one) for one in (typical, named))
    apart = np.frombuffer(direct, np.uint8) != np.frombuffer(federated, np.uint8)
    assert len(direct) == len(federated)
    assert apart.mean() < 0.01  # scales differ in their last bits, as float kernels do
    with pytest.raises(ExportError, match="ranges are of 2 tensors"):
        export.name_ranges(model, float_model, (3, 16), np.zeros((2, 2), np.float32))
    with pytest.raises(ExportError, match="no range for tensor"):
        export.quantize(float_model, {})
