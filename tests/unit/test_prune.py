"""Pruning: what is left is a smaller model of the same kind."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from frugalfl.errors import ExportError
from frugalfl_server.export import count_macs, count_parameters, prune
from frugalfl_server.export.prune_cut import channels_kept, ratio_that_keeps

IMAGE = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Residual(nn.Module):
    """Convolutions, batch norm, a depthwise convolution and a residual around them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.pointwise = nn.Conv2d(16, 16, 1)
        self.head = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = x + torch.relu(self.pointwise(self.depthwise(x)))
        return self.head(x.mean((2, 3)))


class TwoPaths(nn.Module):
    """The output is a sum of two layers: the channels of both are its outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.deep = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 8))
        self.shallow = nn.Linear(12, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.deep(x) + self.shallow(x)


class Functional(nn.Module):
    """Uses a layer's weights behind the tracer's back."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3)
        self.second = nn.Conv2d(16, 16, 3)
        self.head = nn.Conv2d(16, 4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(nn.functional.conv2d(self.first(x), self.second.weight)).flatten(1)


def test_half_the_channels_are_half_the_size_or_less() -> None:
    model = Residual().eval()
    pruned, report = prune(model, IMAGE, 0.5)
    assert pruned(IMAGE).shape == (1, 10)
    assert report.parameters_before == count_parameters(model)
    assert report.parameters_after == count_parameters(pruned) < 0.5 * report.parameters_before
    assert report.macs_after == count_macs(pruned, IMAGE) < 0.55 * report.macs_before
    assert report.shapes["stem.weight"] == (8, 3, 3, 3)
    assert report.shapes["depthwise.weight"] == (8, 1, 3, 3)
    assert report.shapes["norm.running_mean"] == (8,)


@pytest.mark.parametrize(
    ("module", "row"),
    [
        (nn.Sequential(nn.Conv2d(1, 8, 3), nn.ConvTranspose2d(8, 4, 2)), (1, 8, 8)),
        (nn.LSTM(4, 5, batch_first=True), (7, 4)),
        (nn.TransformerEncoderLayer(8, 2, batch_first=True), (7, 8)),
    ],
)
def test_multiplications_are_those_that_pytorch_counts(module: nn.Module, row: Any) -> None:
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        module.eval()(torch.zeros(1, *row))
    assert count_macs(module, torch.zeros(1, *row)) == counter.get_total_flops() // 2


def test_the_model_that_was_given_stays_as_it_was() -> None:
    model = Residual().train()
    model.stem.weight.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    pruned, _ = prune(model, IMAGE, 0.5)
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not model.stem.weight.requires_grad
    assert model.training and pruned.training


def test_the_weakest_channels_go() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    with torch.no_grad():
        model[0].weight[:] = torch.tensor([1, 9, 2, 8, 3, 7, 4, 6.0])[:, None]
        model[2].weight[:] = 1.0
    pruned, _ = prune(model, torch.zeros(1, 4), 0.5)
    assert pruned[0].weight[:, 0].tolist() == [9, 8, 7, 6]


def ends_in_convolution() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.Conv2d(16, 4, 6), nn.Flatten())


def ends_in_softmax() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 32), nn.Linear(32, 8), nn.Softmax(1))


@pytest.mark.parametrize(
    ("model", "example", "outputs"),
    [
        (Residual(), IMAGE, {"head.weight": 10}),
        (TwoPaths(), torch.zeros(1, 12), {"deep.2.weight": 8, "shallow.weight": 8}),
        (ends_in_convolution(), IMAGE, {"1.weight": 4}),
        (ends_in_softmax(), torch.zeros(1, 12), {"1.weight": 8}),
    ],
    ids=["linear", "sum of two layers", "convolution", "softmax"],
)
def test_outputs_are_never_pruned(
    model: nn.Module, example: torch.Tensor, outputs: dict[str, int]
) -> None:
    pruned, report = prune(model, example, 0.75)
    assert {name: report.shapes[name][0] for name in outputs} == outputs
    assert pruned.eval()(example).shape == model.eval()(example).shape
    assert report.parameters_after < report.parameters_before


@pytest.mark.parametrize("ratio", [0.1, 0.4, 0.6, 0.9])
def test_channels_stay_multiples_of_four(ratio: float) -> None:
    _, report = prune(Residual(), IMAGE, ratio)
    assert report.shapes["stem.weight"][0] % 4 == 0 < report.shapes["stem.weight"][0]


@pytest.mark.parametrize("ratio", [0.7, 0.9, 0.99])
def test_narrow_groups_shrink_to_four_channels_as_wide_ones_do(ratio: float) -> None:
    """At 0.9 a group of 8 has less than one channel to keep, one of 64 still has six."""
    model = nn.Sequential(nn.Linear(3, 64), nn.ReLU(), nn.Linear(64, 8), nn.Linear(8, 2))
    _, report = prune(model, torch.zeros(1, 3), ratio)
    assert report.shapes["2.weight"][0] == 4
    wide = report.shapes["0.weight"][0]
    assert wide == channels_kept(64, ratio, 4) == max(4, int(64 * (1 - ratio)) // 4 * 4)


@given(st.integers(1, 96), st.floats(0, 0.999))
def test_what_stays_is_a_multiple_of_four_or_everything(channels: int, ratio: float) -> None:
    kept = channels_kept(channels, ratio, 4)
    assert kept % 4 == 0 or kept == channels < 4
    assert min(4, channels) <= kept <= channels
    assert channels_kept(channels, ratio_that_keeps(kept, channels), 4) == kept


def test_weights_that_are_not_numbers_are_named() -> None:
    model = Residual()
    with torch.no_grad():
        model.head.weight[0, 0] = float("inf")
    with pytest.raises(ExportError, match=r"'head\.weight' holds NaN or infinity"):
        prune(model, IMAGE, 0.5)


def test_ratio_zero_changes_nothing() -> None:
    model = Residual().eval()
    pruned, report = prune(model, IMAGE, 0.0)
    assert torch.equal(pruned(IMAGE), model(IMAGE))
    assert report.parameters_after == report.parameters_before


def test_a_pruned_model_trains_on_even_if_it_was_frozen() -> None:
    model = Residual().requires_grad_(False)
    with torch.no_grad():
        pruned, _ = prune(model, IMAGE, 0.5)
    pruned.eval()(IMAGE).sum().backward()
    assert all(parameter.grad is not None for parameter in pruned.parameters())


def test_the_report_is_plain_json() -> None:
    _, report = prune(Residual(), IMAGE, 0.5)
    assert json.loads(json.dumps(report.to_dict()))["shapes"]["head.weight"] == [10, 8]


@pytest.mark.parametrize("ratio", [-0.1, 1.0, 1.5, float("nan")])
def test_a_ratio_out_of_range_is_refused(ratio: float) -> None:
    with pytest.raises(ExportError, match=r"not in \[0, 1\)"):
        prune(Residual(), IMAGE, ratio)


def test_an_example_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ExportError, match="Residual cannot be pruned"):
        prune(Residual(), torch.zeros(1, 8), 0.5)


def test_a_model_that_hides_a_layer_stays_whole_and_is_named() -> None:
    _, report = prune(Functional(), IMAGE, 0.5)
    assert report.parameters_after == report.parameters_before
    assert report.whole[0].layers == ("first",)
