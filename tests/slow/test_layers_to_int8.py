"""Every layer of the table through a tried export: it works, or the error names its place."""

import itertools

import numpy as np
import pytest
import torch
from cases.layers import IMAGE, LAYERS
from torch import nn

from frugalfl.activation_ranges import ranges_of
from frugalfl.errors import ExportError
from frugalfl_server import export
from frugalfl_server.export.plain import is_plain
from frugalfl_server.export.rehearsal import rehearse
from frugalfl_server.export.scores import sqnr_db
from frugalfl_server.export.stages import Models, run_stages

pytestmark = pytest.mark.slow


def rows(shape, count=16):
    return np.random.default_rng(1).normal(size=(count, *shape)).astype(np.float32)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_becomes_int8_or_is_refused(name):
    case = LAYERS[name]
    torch.manual_seed(0)
    module = case.make()
    if case.rule is None:
        rehearse(module, rows(case.shape, 4))
        return
    with pytest.raises(ExportError):
        rehearse(module, rows(case.shape, 4))


@pytest.mark.parametrize("name", ["silu", "group_norm", "layer_norm", "prelu", "encoder"])
def test_bounded_ranges_are_nearly_as_good_as_rows(name):
    case = LAYERS[name]
    torch.manual_seed(0)
    module, x = case.make().eval(), rows(case.shape, 64)
    float_model = export.convert(module, case.shape)
    named = export.name_ranges(module, float_model, case.shape, ranges_of(module, x))
    typical = export.to_model_layout(x, float_model)
    reference = export.of_pytorch(module)
    noise = {}
    for way, calibration in (("clients", named), ("rows", typical)):
        int8 = export.quantize(float_model, calibration)
        runs = run_stages(Models(reference, float_model, int8, export.strip(int8)), x)
        noise[way] = sqnr_db(runs.outputs["litert_int8_reference"], runs.outputs["pytorch"])
    assert noise["clients"] > min(noise["rows"] - 6, 20), noise


def plain_models():
    """Return chains of plain layers, three at a time, as :mod:`plain` lists them."""
    layers = {
        "depthwise": lambda: nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
        "pointwise": lambda: nn.Conv2d(8, 8, 1),
        "strided": lambda: nn.Conv2d(8, 8, 3, stride=2, padding=1),
        "batch norm": lambda: nn.BatchNorm2d(8),
        "relu": nn.ReLU,
        "relu6": nn.ReLU6,
        "max pool": lambda: nn.MaxPool2d(2),
        "average pool": lambda: nn.AvgPool2d(2),
        "pad": lambda: nn.ZeroPad2d((0, 1, 0, 1)),
        "dropout": lambda: nn.Dropout(0.2),
    }
    chosen = list(itertools.permutations(layers, 3))
    return [
        pytest.param([layers[name] for name in names], id=", ".join(names))
        for names in chosen[:: len(chosen) // 12]
    ]


@pytest.mark.parametrize("middle", plain_models())
def test_what_is_called_plain_can_be_exported(middle):
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), *[layer() for layer in middle],
        nn.Flatten(), nn.LazyLinear(16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4),
    ).eval()  # fmt: skip
    module(torch.zeros(1, *IMAGE))
    assert is_plain(module, IMAGE)
    rehearse(module, rows(IMAGE, 4))
