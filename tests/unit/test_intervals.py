"""Bounds of tensors that nobody recorded hold what runs make of them, and are not much wider."""

import numpy as np
import pytest
import torch
from cases.layers import IMAGE, conv, head
from torch import nn

from frugalfl.activation_ranges import ranges_of
from frugalfl_server import export
from frugalfl_server.export.intervals import bounds
from frugalfl_server.export.quantize import calibrate_ranges


@pytest.fixture(scope="module")
def seen():
    """A float file with operators of many kinds, and every tensor's range on some rows."""
    torch.manual_seed(0)
    model = nn.Sequential(
        conv(), nn.SiLU(), conv(8), nn.PReLU(8), nn.ConvTranspose2d(8, 8, 2, 2, groups=2),
        nn.AvgPool2d(3, 2, ceil_mode=True), conv(8, 16), nn.GLU(1), nn.GroupNorm(4, 8), head(),
    ).eval()  # fmt: skip
    rows = np.random.default_rng(0).normal(size=(32, *IMAGE)).astype(np.float32)
    float_model = export.convert(model, IMAGE)
    ranges = calibrate_ranges(float_model, export.to_model_layout(rows, float_model))
    return float_model, {
        name: (float(one["min"].min()), float(one["max"].max())) for name, one in ranges.items()
    }


def test_what_is_known_stays_and_without_anything_known_nothing_is_made_up(seen):
    float_model, ranges = seen
    found = bounds(float_model, ranges)
    assert {name: found[name] for name in ranges} == ranges
    unknown = bounds(float_model, {})
    assert not any(name.startswith("serving_default") for name in unknown)


def test_each_tensor_alone_is_bounded_by_the_others_soundly(seen):
    float_model, ranges = seen
    bounded = 0
    for name, (low, high) in ranges.items():
        others = {other: one for other, one in ranges.items() if other != name}
        found = bounds(float_model, others).get(name)
        if found is None:
            continue
        bounded += 1
        slack = 1e-3 * (high - low)
        assert found[0] - slack <= low and high <= found[1] + slack, name
    assert bounded > len(ranges) / 2


def test_what_a_clamp_throws_away_may_saturate_before():
    torch.manual_seed(0)
    model = nn.Sequential(conv(), nn.Hardsigmoid(), head()).eval()
    rows = np.random.default_rng(0).normal(size=(8, *IMAGE)).astype(np.float32)
    float_model = export.convert(model, IMAGE)
    named = export.name_ranges(model, float_model, IMAGE, ranges_of(model, 50 * rows))
    assert max(high for name, (_, high) in named.items() if "Conv2d" in name) <= 6.0
