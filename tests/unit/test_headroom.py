"""Ranges that few rows gave leave room for others, if these would saturate."""

import json
import logging

import numpy as np
import pytest
import torch
from torch import nn

from frugalfl import Examples, PublicData
from frugalfl.activation_ranges import ranges_of
from frugalfl.errors import ExportError
from frugalfl_server.export import export_model

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1)).eval()


def exported(net, reach, folder):
    """Export with the ranges of rows that reach so far; return what was measured."""
    rows = Examples(X, np.zeros((len(X), 1), np.float32))
    result = export_model(
        net, name="net", public=PublicData(rows), folder=folder, ranges=ranges_of(net, reach * X)
    )
    assert json.loads((folder / "model_card.json").read_text())["gates"]
    return result.verification.sqnr_db


def said(caplog):
    return [
        one.getMessage() for one in caplog.records if one.name.startswith("frugalfl_server.export")
    ]


def test_an_export_whose_rows_reach_beyond_the_clients_is_made_with_wider_ranges(
    net, tmp_path, caplog
):
    caplog.set_level(logging.INFO)
    assert exported(net, 1.0, tmp_path) > 30
    assert not said(caplog)  # nothing is widened that need not be
    assert exported(net, 0.6, tmp_path) > 20
    (line,) = said(caplog)
    assert "reach beyond the clients'" in line and "times as wide" in line and "\n" not in line


def test_ranges_that_no_room_mends_are_refused_with_what_to_do(net, tmp_path):
    with pytest.raises(ExportError, match=r"--calibration rows.npz, or finer.*--activations int16"):
        exported(net, 0.05, tmp_path)
    assert not (tmp_path / "model_int8.tflite").exists()
