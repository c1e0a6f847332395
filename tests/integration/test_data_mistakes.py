"""One client's rows are wrong: it costs that client's rounds, and is named with client and array."""

from pathlib import Path

import pytest

from frugalfl.errors import TaskError
from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl_client.app import app as client_app
from frugalfl_client.device import forget_devices
from frugalfl_client.owner import quiet_devices
from frugalfl_server.phases.federation import Federation
from frugalfl_server.phases.train import train
from frugalfl_server.report import write_report
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.summary import of_run
from frugalfl_sim.apps import importable, quiet_flower
from frugalfl_sim.engine.grid import InProcessGrid

CASE = Path(__file__).parents[1] / "cases" / "data"
#: What is said of client 1, by what is wrong with it.
SAID = {
    "strings": "targets are <U1; give class numbers",
    "out_of_range": "classes go from 0 to 4, the model has 0 to 3",
    "minus1": "classes go from -1 to 2, the model has 0 to 3",
    "empty": "has no data",
    "tuple": "the task returned a tuple; return Examples(x, y)",
    "lists": "inputs are a list, not a numpy array",
    "shape": "inputs have shape (7,) a row, this task's have (8,)",
    "nan": "inputs hold NaN or infinity",
    "values": "targets are float32, this task's are class numbers",
    "one_hot": "targets have shape (4,) a row, this task's have ()",
    "onerow": "has 1 row; batch norm in this task's model needs batches of 2",
    "raises": "FileNotFoundError",
}


@pytest.fixture
def federation(tmp_path, monkeypatch):
    """A small federation whose rows are of a kind: ``federation(kind, **settings)``."""

    def begin(kind, clients=3, **settings):
        monkeypatch.setenv("KIND", kind)
        chosen = Settings.of(
            **{
                "clients": clients, "clients_per_round": clients, "rounds": 2, "prune": 0.0,
                "recover_rounds": 0, "local_epochs": 1, "batch_size": 8, "evaluate_rows": 8,
            }
            | settings
        )  # fmt: skip
        task = load_task("task:task")
        run = RunDirectory.create(tmp_path, task.name, chosen, app=None)
        grid = InProcessGrid(client_app, clients, chosen.as_config(), run.path / "devices")
        return Federation(grid, chosen, task, run, quiet=True), run

    with importable(CASE), quiet_flower(), quiet_devices():
        try:
            yield begin
        finally:
            forget_devices()


@pytest.mark.parametrize("kind", SAID)
def test_one_client_of_three(federation, kind):
    ours, run = federation(kind)
    train(ours)
    assert [(r.clients, r.updates, r.set_aside) for r in run.rounds] == [(3, 2, 0), (2, 2, 1)]
    (line,) = [one for one in _warnings(run) if "node 1001" in one]
    assert "client 1 (node 1001): " in line
    assert SAID[kind] in line and line.endswith("it is not asked for 10 rounds")
    (idle,) = of_run(run, "finished", None)["never_trained"]
    assert idle["node"] == "1001" and SAID[kind] in idle["why"]
    assert idle["client"] == "1"


def test_the_report_names_who_never_trained(federation):
    ours, run = federation(next(iter(SAID)))
    train(ours)
    run.flush()
    run.write_json("summary.json", of_run(run, "finished", None))
    page = write_report(run).read_text()
    assert "Clients that never trained" in page and "client 1: " in page


@pytest.mark.parametrize("kind", ["", "flip", "int32", "uint8", "fortran", "rest", "pub_flip"])
def test_what_can_be_trained_on_is(federation, kind):
    ours, run = federation(kind)
    train(ours)
    assert [r.updates for r in run.rounds] == [3, 3]
    assert _warnings(run) == []
    assert of_run(run, "finished", None)["never_trained"] == []


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("pub_one_hot", r"public_data\(\).test: outputs have shape \(16, 4\), targets \(200, 4\)"),
        ("pub_200", r"targets \(200, 1\); write y\[:, 0\]"),
        ("pub_values", "targets are float32, not class numbers"),
        ("pub_out_of_range", "classes go from 1 to 4, the model has 0 to 3"),
        ("pub_nan", r"public_data\(\).test: inputs hold NaN"),
    ],
)
def test_public_rows_that_do_not_fit_are_found_before_round_1(federation, kind, says):
    with pytest.raises(TaskError, match=says):
        federation(kind)


def test_if_nobody_can_train_the_run_ends_at_once(federation):
    ours, run = federation("all_out_of_range", rounds=50)
    with pytest.raises(
        TaskError, match="none of 3 clients .* in round 1: client .*classes go from"
    ):
        train(ours)
    assert run.rounds == []
    assert len(of_run(run, "failed", "")["never_trained"]) == 3


def test_single_clients_a_round_outlive_one_that_cannot(federation):
    ours, run = federation("nan", clients_per_round=1, rounds=12, seed=2)
    train(ours)
    assert sum(r.updates for r in run.rounds) == 11
    ours, run = federation("all_out_of_range", clients_per_round=1, rounds=12)
    with pytest.raises(TaskError, match="no client could train in round 2"):
        train(ours)


def test_without_rounds_too(federation):
    ours, run = federation("nan", clients_per_round=2, asynchronous="buffered(2)", rounds=3)
    train(ours)
    assert [r.updates for r in run.rounds] == [2, 2, 2]
    assert len([one for one in _warnings(run) if "inputs hold NaN" in one]) == 1
    ours, run = federation("all_out_of_range", clients_per_round=2, asynchronous="buffered(2)")
    with pytest.raises(TaskError, match="classes go from"):
        train(ours)


def test_batches_that_batch_norm_cannot_take_are_refused(federation):
    with pytest.raises(TaskError, match="batch-size is 1, and batch norm .* needs 2 rows"):
        federation("", batch_size=1)


def _warnings(run):
    lines = (run.path / "progress.log").read_text().splitlines()
    return [line for line in lines if line.startswith("warning")]
