"""A federation of which the server sees no row: clients measure, sums travel, numbers are right."""

from pathlib import Path

import numpy as np
import pytest
import torch

from frugalfl.errors import TaskError, UsageError
from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl_client.app import app as client_app
from frugalfl_client.device import Device, forget_devices
from frugalfl_server.phases.conduct import conduct
from frugalfl_server.phases.export import export_into
from frugalfl_server.phases.federation import Federation
from frugalfl_server.phases.initial_model import newest_model
from frugalfl_server.phases.public_rows import FILE
from frugalfl_server.phases.train import train
from frugalfl_server.report import write_report
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.summary import of_run
from frugalfl_sim.apps import importable, quiet_flower
from frugalfl_sim.engine.grid import InProcessGrid

CASE = Path(__file__).parents[1] / "cases" / "no_public"
CLIENTS = 6


def settings(**changes):
    return Settings.of(
        **{
            "clients": CLIENTS, "clients_per_round": 4, "rounds": 3, "prune": 0.0,
            "recover_rounds": 0, "local_epochs": 2, "batch_size": 8, "downlink": "raw",
        }
        | changes
    )  # fmt: skip


@pytest.fixture
def federate(tmp_path):
    """A federation, trained, or conducted to its end."""

    def begin(chosen, folder="run", to_its_end=False):
        task = load_task("task:task")
        run = RunDirectory.create(tmp_path / folder, task.name, chosen, app=None)
        grid = InProcessGrid(client_app, CLIENTS, chosen.as_config(), run.path / "devices")
        federation = Federation(grid, chosen, task, run, quiet=True)
        conduct(federation) if to_its_end else train(federation)
        return run, task

    with importable(CASE), quiet_flower():
        try:
            yield begin
        finally:
            forget_devices()


def held_out(chosen, folder):
    """Return every client's held-out rows, pooled."""
    devices = [Device(n, CLIENTS, folder / f"held-{n}", chosen) for n in range(CLIENTS)]
    assert [len(one.rows.evaluated) for one in devices] == [8] * CLIENTS
    assert [len(one.rows.examples) for one in devices] == [32] * CLIENTS
    return [np.concatenate([getattr(one.rows.evaluated, k) for one in devices]) for k in ("x", "y")]


def test_it_ends_with_a_model_and_the_numbers_of_pooled_rows(federate, tmp_path):
    chosen = settings()
    run, task = federate(chosen, to_its_end=True)
    x, y = held_out(chosen, tmp_path)
    with torch.inference_mode():
        outputs = newest_model(task, run).eval()(torch.from_numpy(x)).numpy()
    figures = of_run(run, "finished", None)
    assert figures["metrics"]["rmse"] == pytest.approx(
        np.sqrt(np.mean((outputs - y) ** 2)), rel=1e-3
    )
    assert figures["metrics"]["mae"] == pytest.approx(np.abs(outputs - y).mean(), rel=1e-3)
    assert figures["accuracy"] is None
    rmse = [record.metrics["rmse"] for record in run.rounds if record.phase == "train"]
    assert rmse[0] > rmse[-1] > figures["metrics"]["rmse"] > 0  # each of what its round began with
    assert "clients hold out one row in five" in (run.path / "progress.log").read_text()
    (asked,) = [record for record in run.rounds if record.phase == "facts"]
    assert (asked.round, asked.clients) == (0, 4) and asked.uplink_bytes > 0
    # int8: what cannot be known is a dash; the model is held against its float form.
    export = run.read_json("model/export.json")
    assert figures["metrics_int8"] == {"rmse": None, "mae": None, "r2": None}
    assert export["verification"]["drawn"] and export["verification"]["sqnr_db"] > 20
    assert (run.path / "model" / "model_int8.tflite").stat().st_size > 0
    assert "drawn within the clients" in write_report(run).read_text()
    again = export_into(run, newest_model(task, run), task, chosen, tmp_path / "again")
    assert (
        again.paths["model_int8.tflite"].read_bytes()
        == (run.path / "model" / "model_int8.tflite").read_bytes()
    )


def test_training_stops_by_what_clients_measure(federate):
    run, _ = federate(settings(rounds=20, stop_score=10.0))
    assert sum(record.phase == "train" for record in run.rounds) == 3


def test_rows_of_several_forms(federate, tmp_path):
    """Most clients decide; who is different is named, and never trains."""
    import task as module

    def other(client, clients, whole=module.client_data):
        rows = whole(client, clients)
        return rows if client else type(rows)(rows.x[:, :7], rows.y)

    object.__setattr__(module.task, "client_data", other)
    run, _ = federate(settings(clients_per_round=CLIENTS, rounds=2))
    assert [(r.clients, r.updates) for r in run.rounds if r.phase == "train"] == [(6, 5), (5, 5)]
    (idle,) = of_run(run, "finished", None)["never_trained"]
    assert "client 0 of 6: inputs have shape (7,) a row" in idle["why"]


def test_what_needs_rows_of_the_servers_own_is_refused(federate):
    with pytest.raises(UsageError, match='counters = "shared" needs rows'):
        federate(settings(counters="shared"))
    with pytest.raises(TaskError, match='calibration is "public"'):
        federate(settings(calibration="public"), "other")


def test_a_run_that_goes_on_asks_nobody_again(federate):
    run, task = federate(settings(rounds=1))
    assert (run.path / FILE).exists()

    def deaf(message, context):
        raise AssertionError("it is known already")

    grid = InProcessGrid(deaf, CLIENTS, settings().as_config(), run.path / "devices")
    Federation(grid, settings(), task, run, quiet=True)


def test_a_real_device_sends_no_sums_of_few_rows(federate, tmp_path):
    import task as module

    federate(settings(rounds=1))  # the task can be imported
    rows = module.client_data(0, 1)
    for count, measured in ((19, None), (20, 4), (40, 8)):
        few = type(rows)(rows.x[:count], rows.y[:count])
        object.__setattr__(module.task, "client_data", lambda *_, few=few: few)
        device = Device(0, 1, tmp_path / f"{count}", settings(), smallest_batch=4)
        assert (device.rows.evaluated and len(device.rows.evaluated)) == measured
        assert len(device.rows.examples) == count - (measured or 0)
