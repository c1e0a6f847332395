"""What a simulation refuses by name before its first round, and whose ClientApp it runs."""

import json

import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.supercore.task_identity import TaskIdentity

from frugalfl import doctor, wire
from frugalfl.errors import FrameError, UsageError
from frugalfl.settings import Settings
from frugalfl_client.app import app as ours
from frugalfl_server.run.app_directory import importable
from frugalfl_sim.checks import check_simulable, client_of
from frugalfl_sim.engine.grid import InProcessGrid

PROJECT = '[tool.flwr.app.components]\nserverapp = "{}"\nclientapp = "{}"\n'


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"min_battery": 30}, "min-battery is 30, and simulated"),
        ({"round_deadline": 5.0}, "round-deadline is 5 s, and simulated"),
        ({"asynchronous": "buffered(7)"}, r"buffered\(7\), but there are only 6 clients"),
    ],
)
def test_what_simulated_clients_do_not_have_is_refused_by_name(change, named):
    settings = Settings.of(clients=6, clients_per_round=3)
    check_simulable(settings)
    with pytest.raises(UsageError, match=named):
        check_simulable(Settings.of(clients=6, clients_per_round=3, **change))


def test_an_apps_own_clientapp_is_the_one_that_is_simulated(tmp_path):
    project = tmp_path / "pyproject.toml"
    (tmp_path / "mine_too.py").write_text(
        "from flwr.clientapp import ClientApp\nclient = ClientApp()\nother = 1\n"
    )
    with importable(tmp_path):
        project.write_text(PROJECT.format("frugalfl_server.app:app", "mine_too:client"))
        assert isinstance(client_of(tmp_path), ClientApp) and client_of(tmp_path) is not ours
        project.write_text(PROJECT.format("frugalfl_server.app:app", "frugalfl_client.app:app"))
        assert client_of(tmp_path) is ours
        for server, client, told in (
            ("mine_too:server", "mine_too:client", "has a serverapp of its own, mine_too:server"),
            ("frugalfl_server.app:app", "mine_too:other", "mine_too:other is no ClientApp"),
            ("frugalfl_server.app:app", "mine_too:none", "mine_too:none cannot be imported"),
        ):
            project.write_text(PROJECT.format(server, client))
            with pytest.raises(UsageError, match=told):
                client_of(tmp_path)


def test_a_client_that_returns_the_request_gives_a_bad_answer_at_once(tmp_path):
    echo = ClientApp()
    echo.train()(lambda message, context: message)
    grid = InProcessGrid(echo, 1, Settings().as_config(), tmp_path)
    (sent,) = grid.push_messages([Message(RecordDict({"x": ConfigRecord()}), 1000, "train")])
    (reply,) = grid.pull_messages([sent])
    assert "returned the request itself" in reply.error.reason


def test_a_stock_servers_request_is_named_as_such():
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
    content = {"arrays": ArrayRecord(), "config": ConfigRecord({"server-round": 1})}
    for unpack in (wire.unpack_request, wire.unpack_calibrate_request):
        with pytest.raises(FrameError, match=r"a ServerApp that is not FrugalFL's.*app:app"):
            unpack(Message(RecordDict(content), 7, "train"))


def test_doctor_takes_tflite_runtime_for_an_edge_device(tmp_path, monkeypatch):
    """Of packages that are not there, the one that is found under its name in the search path."""
    about = tmp_path / "tflite_runtime-2.14.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Name: tflite-runtime\nVersion: 2.14.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(doctor, "_INSTEAD", {"flwr-not-there": "tflite-runtime"})
    monkeypatch.setattr(doctor, "_PARTS", {"edge": ("flwr-not-there", "run models")})
    found = json.loads(json.dumps(doctor.examine()))["parts"]["edge"]
    assert found["version"] == "2.14.0"
