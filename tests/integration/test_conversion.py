"""What the conversion makes of models as people write them, and what it says when it cannot."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from authoring import TWINS, built, cost, exported_twins
from torch import nn

from frugalfl import Examples, PublicData
from frugalfl.errors import ExportError, UsageError
from frugalfl_edge import predict
from frugalfl_server import export
from frugalfl_server.export.lint import RULES
from frugalfl_server.export.operators import operators

#: Proven in every run; the others take some minutes together.
QUICK = ("activation", "separate-pad")


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(one, id=one.name, marks=[] if one.name in QUICK else pytest.mark.slow)
        for one in RULES
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="tflite-micro is for Linux only")
def test_advice_is_true(rule) -> None:
    wrong, right = exported_twins(TWINS[rule.name])
    if rule.severity == "stops":
        assert isinstance(wrong, ExportError)
    elif rule.cost is None:
        assert wrong == right
    else:
        assert cost(wrong, right) == rule.cost
        assert max(rule.cost.operators, rule.cost.file_bytes, rule.cost.arena_bytes) > 0


@pytest.mark.slow
def test_pruning_does_not_see_functional_weights() -> None:
    twins, row = TWINS["functional-weights"], torch.rand(1, 3, 8, 8)
    _, blind = export.prune(built(twins.wrong), row, 0.5)
    _, seen = export.prune(built(twins.right), row, 0.5)
    assert blind.parameters_after == blind.parameters_before > 1.5 * seen.parameters_after


class Series(nn.Module):
    """A 1-D CNN with a residual, norms in three places, and several poolings."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv1d(3, 8, 5, padding=2), nn.BatchNorm1d(8), nn.ReLU())
        self.second = nn.Sequential(nn.BatchNorm1d(8), nn.Conv1d(8, 8, 3, padding=1))
        self.rest = nn.Sequential(nn.MaxPool1d(2), nn.AvgPool1d(2), nn.Flatten(), nn.Linear(64, 5))
        self.out = nn.Sequential(nn.ReLU(), nn.BatchNorm1d(5), nn.Linear(5, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return self.out(self.rest(x + self.second(x)))


def check_by_value(model: nn.Module, shape: tuple[int, ...]) -> bytes:
    """Convert, compare outputs on random rows, and return the file."""
    x = np.random.default_rng(0).standard_normal((4, *shape), dtype=np.float32)
    content = export.convert(model, shape)
    outputs = predict(content, export.to_model_layout(x, content))
    with torch.no_grad():
        np.testing.assert_allclose(outputs, model(torch.from_numpy(x)), atol=1e-4)
    return content


def test_a_series_becomes_an_image_of_one_column() -> None:
    content = check_by_value(built(Series), (3, 32))
    assert operators(content) == (
        "CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "ADD", "MAX_POOL_2D", "AVERAGE_POOL_2D",
        "RESHAPE", "FULLY_CONNECTED", "FULLY_CONNECTED",
    )  # fmt: skip
    with pytest.raises(UsageError, match=r"channels last: x\.transpose\(0, 2, 1\)\[:, :, None\]"):
        predict(content, np.zeros((1, 3, 32), np.float32))


class Reductions(nn.Module):
    """Reads one activation by a mean, a maximum, and two dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.one, self.two = nn.Conv2d(3, 4, 3), nn.Linear(36, 4), nn.Linear(36, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        flat = x.flatten(1)
        return x.mean((2, 3)) + x.amax((-1, -2)) + self.one(flat) * self.two(flat)


def test_reductions_and_flattens_read_channels_last() -> None:
    assert "TRANSPOSE" not in operators(check_by_value(built(Reductions), (3, 5, 5)))


def test_a_reduction_over_one_image_axis_keeps_its_transpose() -> None:
    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x).mean(2).flatten(1)

    assert "TRANSPOSE" in operators(check_by_value(built(Rows), (3, 5, 6)))


def rows(*shape: int) -> PublicData:
    x = np.random.default_rng(0).random((16, *shape), dtype=np.float32)
    some = Examples(x, np.zeros(16, np.int64))
    return PublicData(some, some)


class Undecided(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() > 0:
            return self.layer(x)
        return self.layer(-x)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (Undecided(), r"cannot be converted.*; stops: .*test_conversion\.py:\d+: Python looks at"),
        (nn.Sequential(nn.Linear(8, 4), nn.GELU()), r"GELU.*stops: 1 \(GELU\): .*; use ReLU"),
    ],
)
def test_a_failed_export_names_the_authors_line(
    model: nn.Module, says: str, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=says) as raised:
        export.export_model(model, name="x", public=rows(8), folder=tmp_path)
    assert "\n" not in str(raised.value)


def test_advice_is_kept_in_the_card(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(8, 4), nn.Softmax(1))
    result = export.export_model(
        model, name="x", public=rows(8), folder=tmp_path, max_accuracy_drop=None
    )
    (advice,) = json.loads((tmp_path / "model_card.json").read_text())["advice"]
    assert advice == {**result.advice[0].to_dict(), "cost": advice["cost"]}
    assert (advice["rule"], advice["where"]) == ("final-softmax", "1 (Softmax)")


def test_a_weight_that_is_nan_is_named() -> None:
    model = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2))
    nn.init.constant_(model.get_parameter("1.weight"), float("inf"))
    with pytest.raises(ExportError, match=r"1\.weight holds NaN or infinity"):
        export.convert(model, (8,))


def test_a_model_with_two_outputs_is_refused() -> None:
    with pytest.raises(ExportError, match=r"returns a tuple; it must return one tensor"):
        export.convert(nn.GRU(8, 4), (3, 8))
