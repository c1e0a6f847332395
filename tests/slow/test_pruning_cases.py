"""Nets that failed after all rounds, through whole federations."""

import json

import numpy as np
import pytest
from integration.conftest import ROOT, frugalfl

pytestmark = pytest.mark.slow

CASES = ROOT / "tests" / "cases"
SMALL = (
    "clients=6", "clients-per-round=3", "rounds=2", "recover-rounds=1", "local-epochs=1",
    "batch-size=8",
)  # fmt: skip


@pytest.mark.parametrize(
    ("case", "recovered"),
    [
        ("08-weight-norm-prune", 0), ("09-transformer-prune", 1), ("10-tied-weights", 0),
        ("11-grouped-not-pruned", 1),
    ],
)  # fmt: skip
def test_a_case_ends_with_an_int8_file(case, recovered, tmp_path):
    result = frugalfl("simulate", CASES / case, *SMALL, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    run = tmp_path / "runs" / "latest"
    summary = json.loads((run / "summary.json").read_text())
    assert summary["recover_rounds"] == recovered
    assert bool(summary["left_whole"]) == (case != "11-grouped-not-pruned")
    assert (run / "model" / "model_int8.tflite").stat().st_size > 1000


def test_tied_weights_train_as_one_even_if_one_name_is_frozen(tmp_path):
    result = frugalfl(
        "simulate", CASES / "10-tied-weights", *SMALL, "refresh=frozen(b)", "prune=0", "rounds=4",
        "initial=exact", "uplink=zstd", "downlink=zstd", cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    with np.load(tmp_path / "runs" / "latest" / "checkpoints" / "model.npz") as model:
        assert "a.weight" in model.files and "b.weight" not in model.files
