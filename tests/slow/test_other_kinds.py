"""Anomaly detection and regression, end to end: headline, int8 beside float, the report."""

import json
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from html_page import Page

from frugalfl.metrics import roc_auc
from frugalfl_edge import Interpreter, dequantize, quantize, run_rows

CASES = Path(__file__).parents[1] / "cases"
COMMAND = Path(sys.executable).with_name("frugalfl")

pytestmark = pytest.mark.slow


def simulate(name, folder):
    """Run an app to its end; return the run, what was printed, its proof and its report."""
    done = subprocess.run(
        [COMMAND, "simulate", CASES / name], cwd=folder, capture_output=True, text=True,
        timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = folder / "runs" / "latest"
    proof = json.loads((run / "model" / "export.json").read_text())["verification"]
    return run, done.stdout, proof, Page(run / "report.html")


def check_int8(proof, measure):
    """An int8 model is within 2 % of its float form, in every interpreter that ran it."""
    values = proof["metrics"][measure]
    exact = values["pytorch"]
    for stage, value in values.items():
        assert value is None or value == pytest.approx(exact, rel=0.02), stage


def test_diabetes_is_a_regression(tmp_path):
    _, printed, proof, page = simulate("diabetes", tmp_path)
    check_int8(proof, "rmse")
    assert proof["metrics"]["r2"]["litert_int8"] > 0.35  # least squares on all rows: 0.4 to 0.5
    assert "accuracy" not in printed.lower()
    assert "accuracy" not in page.text.partition(" Settings ")[0].lower()
    assert "RMSE and bytes" in page.text
    assert "lower is better, in the targets' unit" in page.text
    for words in ("predicted value", "true value", "predicted minus true"):
        assert words in page.figure("outcomes")
    assert "median absolute error" in page.part("table", "errors")


def test_worn_machines_stand_out_from_sound_ones(tmp_path):
    run, printed, proof, page = simulate("vibration", tmp_path)
    check_int8(proof, "mse")
    assert "MSE and bytes" in page.text
    assert "accuracy" not in printed.lower()
    assert "mean squared error of a row" in page.figure("outcomes")
    assert "99 % of rows are below" in page.part("table", "errors")

    task = SimpleNamespace(**runpy.run_path(str(CASES / "vibration" / "task.py")))
    sound = task.public_data().test.x
    worn = task.machines(400, range(8), worn=True).x
    model = Interpreter((run / "model" / "model_int8_edge.tflite").read_bytes())
    rows = np.concatenate([sound, worn])
    said = dequantize(run_rows(model, quantize(rows, model.input)), model.output)
    errors = np.square(said.reshape(rows.shape) - rows).mean(axis=1)
    assert roc_auc(errors, np.repeat([0, 1], [len(sound), len(worn)])) > 0.95
