"""Models in which training switched something off, or that have layers in a row, become int8."""

import importlib

import numpy as np
import pytest
import torch
from cases.layers import IMAGE, ROW, conv, head
from torch import nn

from frugalfl.activation_ranges import ranges_of
from frugalfl_edge import Interpreter, dequantize, quantize, run_rows
from frugalfl_server import export
from frugalfl_server.export.least_ranges import widen

LINEAR = nn.Linear


def dead_neurons():
    model = nn.Sequential(LINEAR(16, 16), nn.ReLU(), LINEAR(16, 8), nn.ReLU(), LINEAR(8, 4))
    nn.init.constant_(model[2].bias, -50.0)
    return model


def dead_branch():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.branch, self.head = conv(), conv(8), head()
            nn.init.constant_(self.branch.weight, 1e-9)
            nn.init.zeros_(self.branch.bias)

        def forward(self, x):
            x = torch.relu(self.first(x))
            return self.head(x + self.branch(x))

    return Residual()


def dead_depthwise():
    model = nn.Sequential(
        conv(), nn.ReLU(), conv(8, groups=8), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.ReLU(), head()
    )
    with torch.no_grad():
        model[2].weight[::2] = 0
        model[2].bias[::2] = 1.0
    return model


def only_biases():
    model = nn.Sequential(LINEAR(16, 8), nn.ReLU(), LINEAR(8, 4))
    for one in (model[0], model[2]):
        nn.init.zeros_(one.weight)
    return model


CASES = {
    "dead neurons": (dead_neurons, ROW),
    "dead branch": (dead_branch, IMAGE),
    "dead depthwise channels": (dead_depthwise, IMAGE),
    "only biases": (only_biases, ROW),
    "dense in a row": (lambda: nn.Sequential(LINEAR(16, 12), LINEAR(12, 8), LINEAR(8, 4)), ROW),
    "dense around a norm": (
        lambda: nn.Sequential(LINEAR(16, 12), nn.BatchNorm1d(12), LINEAR(12, 4)), ROW,
    ),
    "dense in a row with an activation elsewhere": (
        lambda: nn.Sequential(LINEAR(16, 12), nn.ReLU(), LINEAR(12, 8), LINEAR(8, 4)), ROW,
    ),
}  # fmt: skip


#: Converting costs seconds: the others run with the slow tests.
QUICK = ("dead depthwise channels",)


@pytest.mark.parametrize(
    "case",
    [pytest.param(one, marks=() if one in QUICK else pytest.mark.slow) for one in CASES],
)
@pytest.mark.parametrize("calibration", [pytest.param("public", marks=pytest.mark.slow), "clients"])
def test_int8_computes_what_the_float_model_does(case, calibration):
    make, shape = CASES[case]
    torch.manual_seed(0)
    model = make().eval()
    x = np.random.default_rng(0).normal(size=(32, *shape)).astype(np.float32)
    float_model = export.convert(model, shape)
    rows = export.to_model_layout(x, float_model)
    ranges = rows
    if calibration == "clients":
        ranges = export.name_ranges(model, float_model, shape, ranges_of(model, x))
    int8_model = export.quantize(float_model, ranges)
    with torch.no_grad():
        exact = model(torch.from_numpy(x)).numpy()
    for kernels in ("default", "reference"):
        loaded = Interpreter(int8_model, kernels=kernels)
        steps = run_rows(loaded, quantize(rows, loaded.input))
        error = np.abs(dequantize(steps, loaded.output) - exact).max()
        assert error < 0.03 * np.abs(exact).max(), kernels


def test_ranges_of_a_model_that_is_alive_stay_as_they_are():
    torch.manual_seed(0)
    model = nn.Sequential(conv(), nn.ReLU(), conv(8, groups=8), nn.ReLU6(), conv(8), head()).eval()
    x = np.random.default_rng(0).normal(size=(16, *IMAGE)).astype(np.float32)
    float_model = export.convert(model, IMAGE)
    calibrate_ranges = importlib.import_module("frugalfl_server.export.quantize").calibrate_ranges
    ranges = calibrate_ranges(float_model, export.to_model_layout(x, float_model))
    kept = widen(float_model, ranges)
    assert kept.keys() == ranges.keys()
    assert all(kept[name] is one for name, one in ranges.items())
