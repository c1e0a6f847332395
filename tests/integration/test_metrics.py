"""A task with few positives: its own metrics in every table, on every model, and at the gate."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from frugalfl import Examples, PublicData
from frugalfl.errors import ExportError
from frugalfl.metrics import two_class_average_precision
from frugalfl.task import load_task
from frugalfl_server.export import export_model
from frugalfl_server.phases.initial_model import newest_model
from frugalfl_server.run.directory import RunDirectory
from frugalfl_sim.apps import importable

from .conftest import frugalfl

TASK = """
import numpy as np

from frugalfl import Examples, PublicData, Task
from frugalfl.metrics import two_class_average_precision, two_class_roc_auc


def rows(seed, count):
    random = np.random.default_rng(seed)
    y = (random.random(count) < 0.03).astype(np.int64)
    x = random.standard_normal((count, 16)) + 1.5 * y[:, None] * (np.arange(16) < 4)
    return Examples(x.astype(np.float32), y)


def model():
    from torch import nn

    return nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))


task = Task(
    "rare",
    model=model,
    client_data=lambda client, _: rows(client, 400),
    public_data=lambda: PublicData(rows(1000, 3000), rows(1001, 200)),
    metrics={
        "average_precision": two_class_average_precision,
        "roc_auc": two_class_roc_auc,
        "of_one_class": lambda outputs, y: two_class_roc_auc(outputs, 0 * y),
    },
)
"""
NAMES = ["average_precision", "roc_auc", "of_one_class"]


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    from .conftest import DIGITS

    folder = tmp_path_factory.mktemp("rare") / "app"
    folder.mkdir()
    (folder / "pyproject.toml").write_text((DIGITS / "pyproject.toml").read_text())
    (folder / "task.py").write_text(TASK)
    return folder


@pytest.fixture(scope="module")
def made(app):
    """A run with a baseline and a slim model; and what the command printed."""
    arguments = ("rounds=4", "recover-rounds=2", "clients=4", "clients-per-round=3")
    result = frugalfl("simulate", app, *arguments, "--baseline", "--slim", cwd=app.parent)
    assert result.returncode == 0, result.stderr
    return RunDirectory.open(app.parent / "runs" / "latest"), result


def test_rounds_summary_and_export_agree_with_scikit_learn(app, made):
    run, _ = made
    table = pq.read_table(run.path / "rounds.parquet")
    assert [name for name in table.column_names if name.startswith("metric_")] == [
        f"metric_{name}" for name in NAMES
    ]
    rows = table.to_pylist()
    assert {row["federation"] for row in rows} == {"frugalfl", "flower-fedavg-float32", "slim"}
    assert all(0 < row["metric_average_precision"] < 1 for row in rows)
    assert all(row["metric_of_one_class"] is None for row in rows)

    summary, export = run.read_json("summary.json"), run.read_json("model/export.json")
    for of in (summary, summary["baseline"], summary["slim"]):
        assert list(of["metrics"]) == NAMES
    assert summary["slim"]["metrics_int8"]["roc_auc"] > 0.5
    proof = export["verification"]
    assert proof["rows"] == 3000  # all of them, so that the figures are those of the rounds
    micro = proof["metrics"]["average_precision"]["tflite_micro_int8"]
    assert summary["metrics_int8"]["average_precision"] == micro
    assert summary["metrics_int8"]["of_one_class"] is None

    with importable(app):
        task = load_task("task:task")
        module, test = newest_model(task, run).eval(), task.public_rows().test
    with torch.no_grad():
        outputs = module(torch.from_numpy(test.x)).numpy().astype(np.float64)
    margin = outputs[:, 1] - outputs[:, 0]
    last = next(one for one in reversed(run.rounds) if one.federation == "frugalfl")
    for name, exact in (
        ("average_precision", average_precision_score(test.y, margin)),
        ("roc_auc", roc_auc_score(test.y, margin)),
    ):
        assert last.metrics[name] == pytest.approx(exact)
        assert proof["metrics"][name]["pytorch"] == pytest.approx(exact, abs=1e-3)


def test_people_see_the_first_metric(made):
    run, result = made
    lines = [line for line in result.stderr.splitlines() if "left" in line]
    assert len(lines) == 6 + 4 + 6
    assert all("  average precision 0." in line and "  accuracy 0." in line for line in lines)
    page = (run.path / "report.html").read_text()
    assert "Average precision and bytes" in page and "Average precision against bytes" in page
    for words in ("average precision after training", "ROC AUC after pruning and recovery"):
        assert words in page
    again = frugalfl("report", run.path, cwd=run.path)
    final = run.read_json("summary.json")["metrics"]["average_precision"]
    assert f"average precision  {final:.3f}" in " ".join(again.stdout.split("   "))


def test_the_gate_sees_what_accuracy_cannot(app, tmp_path):
    """Both outputs swing together, and what sets positives apart is a fraction of an int8 step."""
    random = np.random.default_rng(0)
    y = (np.arange(1000) < 8).astype(np.int64)
    x = np.stack([0.05 * y, random.uniform(-1, 1, 1000)], axis=1).astype(np.float32)
    test = Examples(x, y)
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    with torch.no_grad():
        model[0].weight[:] = torch.tensor([[0.0, 10.0], [1.0, 10.0]])
        model[0].bias[:] = torch.tensor([1.0, 0.0])
    given = {"name": "rare", "public": PublicData(test, test)}
    plain = export_model(model, **given, folder=tmp_path / "plain")  # accuracy is content
    assert min(plain.verification.accuracy.values()) > 0.99
    with pytest.raises(
        ExportError, match=r"^int8 average precision 0\.\d+ is more than 0\.020"
    ) as e:
        export_model(
            model, **given, folder=tmp_path / "held",
            metrics={"average_precision": two_class_average_precision},
        )  # fmt: skip
    assert "\n" not in str(e.value)
    assert not (tmp_path / "held").exists()
