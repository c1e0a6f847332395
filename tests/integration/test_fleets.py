"""Simulated fleets: seeded devices whose speed, links, hours and dropouts move a simulated clock."""

import json

import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from frugalfl.errors import UsageError
from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl_client.app import app as client_app
from frugalfl_client.device import forget_devices
from frugalfl_server.phases.federation import Federation
from frugalfl_server.phases.train import train
from frugalfl_server.run.app_directory import importable
from frugalfl_server.run.directory import RunDirectory
from frugalfl_sim.checks import check_simulable
from frugalfl_sim.choose_engine import fleet_of
from frugalfl_sim.engine.grid import InProcessGrid
from frugalfl_sim.world.choose_world import devices_of, fleet_text, with_devices, world_of
from frugalfl_sim.world.device import HOUR_S, SimulatedDevice
from frugalfl_sim.world.fleets import FLEETS
from frugalfl_sim.world.lora_link import airtime_s
from frugalfl_sim.world.work import Work
from frugalfl_sim.world.world import World

from .conftest import ROOT, frugalfl

MLP = ROOT / "benchmarks" / "tasks" / "digits_mlp"
FLOATS = 38_000


def settings_with(fleet, **changes):
    few = {"clients": 12, "clients_per_round": 4, "rounds": 3, "prune": 0.0, "engine": "cohort"}
    return with_devices(Settings.of(**few | {"fleet": fleet, "trainer": "torch"} | changes))


def federate(settings, folder, world=None, capsys=None):
    """Train; return the run, the grid, and what was said."""
    with importable(MLP):
        task = load_task("task:task")
        run = RunDirectory.create(folder, task.name, settings, MLP)
        fleet = fleet_of(task, settings, run.path / "devices")
        grid = InProcessGrid(
            client_app, settings.simulation.clients, settings.as_config(), run.path / "devices",
            fleet=fleet, world=world or world_of(task, settings),
        )  # fmt: skip
        try:
            train(Federation(grid, settings, task, run, quiet=capsys is None))
        finally:
            fleet.close()
            forget_devices()  # their task goes by the name of other tests'
    return run, grid, capsys.readouterr().err if capsys else ""


def device(**changes):
    usual = {"operations_per_s": 1e9, "down_bytes_per_s": 1e6, "up_bytes_per_s": 1e6}
    return SimulatedDevice(**usual | {"latency_s": 0.1, "dropout": 0.0} | changes)


def question(node=1000, size=0, group="1"):
    array = Array(dtype="uint8", shape=(size,), stype="bytes", data=bytes(size))
    return Message(RecordDict({"arrays": ArrayRecord({"frames": array})}), node, "train",
                   group_id=group)  # fmt: skip


def answer(message, context):
    """Answer with as many bytes as were sent, of ten rows."""
    arrays = message.content["arrays"]
    return Message(
        RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": 10})}),
        reply_to=message,
    )


def grid_of(folder, world, clients):
    return InProcessGrid(answer, clients, Settings().as_config(), folder, world=world)


@pytest.mark.parametrize("fleet", FLEETS)
def test_a_seed_is_a_world(fleet):
    assert devices_of(settings_with(fleet)) == devices_of(settings_with(fleet))
    assert devices_of(settings_with(fleet)) != devices_of(settings_with(fleet, seed=1))
    more = devices_of(settings_with(fleet, clients=24))
    assert more[:12] == devices_of(settings_with(fleet))
    assert str(12) in fleet_text(settings_with(fleet)) and settings_with(fleet).energy.device


def test_simulated_seconds_are_bytes_latency_and_counted_work(tmp_path):
    world = World([device()], Work(macs=1000, epochs=2), 1)
    grid = grid_of(tmp_path, world, 1)
    (reply,) = grid.send_and_receive([question(size=500_000)])
    assert not reply.has_error()
    # 0.5 s down, 0.5 s up, 0.1 s latency; 10 rows x 2 epochs x 3 passes x 1000 x 2 operations.
    assert grid.simulated_s == pytest.approx(1.1 + 120_000 / 1e9)


def test_the_same_seed_gives_the_same_rounds(tmp_path):
    def figures(folder, **changes):
        run, _, _ = federate(settings_with("pis-on-wifi", **changes), tmp_path / folder)
        return [(one.accuracy, one.updates, one.simulated_s) for one in run.rounds]

    first = figures("first")
    assert first == figures("again")
    assert [one[2] for one in first] != [one[2] for one in figures("other", seed=1)]
    assert all(seconds > 0 for _, _, seconds in first)


def test_the_slow_miss_the_deadline_and_are_named(tmp_path, capsys):
    settings = settings_with("pis-on-wifi", round_deadline=30.0, clients=4)
    check_simulable(settings)
    slow = device(up_bytes_per_s=0.1)
    world = World([device(), device(), slow, device()], Work(2410, 1), 4)
    run, _, said = federate(settings, tmp_path, world, capsys)
    assert [one.updates for one in run.rounds] == [3, 3, 3]
    assert "1 gave no answer: client 2 (node 1002): did not answer in time" in said
    assert all(20 < one.simulated_s <= 60 for one in run.rounds)


def test_a_late_device_is_still_at_work_on_the_old_question(tmp_path):
    world = World([device(up_bytes_per_s=1.0)], Work(0, 1), 1)
    grid = grid_of(tmp_path, world, 1)
    for due in (10, 20):
        message = question(size=100)
        message.metadata.ttl = 10.0
        (reply,) = grid.send_and_receive([message])
        assert reply.error.reason == "its device did not answer before the round's deadline"
        assert grid.simulated_s == due


def test_phones_answer_at_night_only_and_nobody_hangs(tmp_path, capsys):
    settings = settings_with("phones-at-night", clients=40)
    devices = devices_of(settings)
    assert not any(one.is_there(hour * HOUR_S) for one in devices for hour in range(9, 21))
    assert sum(one.is_there(1 * HOUR_S) for one in devices) > 20
    run, grid, said = federate(settings, tmp_path, capsys=capsys)
    assert "the clock goes on from 18:00 to 21:00" in said
    assert run.rounds[0].simulated_s > 3 * HOUR_S > run.rounds[1].simulated_s
    assert 3 * HOUR_S < grid.simulated_s < 15 * HOUR_S


def test_who_leaves_the_charger_while_it_works_has_dropped_out(tmp_path):
    phone = device(hours=frozenset({3}), up_bytes_per_s=1.0)
    world = World([phone], Work(0, 1), 1, begins_h=18)
    grid = grid_of(tmp_path, world, 1)
    assert list(grid.get_node_ids()) == [1000]
    assert grid.simulated_s == 9 * HOUR_S  # three in the morning
    (reply,) = grid.send_and_receive([question(size=4000)])
    assert "dropped out" in reply.error.reason
    assert grid.simulated_s == 10 * HOUR_S + 60
    assert list(grid.get_node_ids()) == [1000]
    assert grid.simulated_s == 33 * HOUR_S  # the night after


def test_a_model_over_lora_takes_hours(tmp_path):
    assert airtime_s(13 + 12, 7) == pytest.approx(0.0617, abs=1e-3)
    settings = settings_with("lora-sensors", clients=1, clients_per_round=1)
    assert settings.energy.device == "cortex-m4 on lora"
    world = World(devices_of(settings), Work(FLOATS, 1), 1)
    grid = grid_of(tmp_path, world, 1)
    (reply,) = grid.send_and_receive([question(size=4 * FLOATS)])
    assert not reply.has_error()
    assert 5 * HOUR_S < grid.simulated_s < 100 * HOUR_S


def test_dropouts_are_named_and_the_run_goes_on(tmp_path, capsys):
    world = World([device(), device(dropout=1.0), device(), device()], Work(2410, 1), 4)
    run, _, said = federate(settings_with("bank-branches", clients=4), tmp_path, world, capsys)
    assert [one.updates for one in run.rounds] == [3, 3, 3]
    assert said.count("1 gave no answer: client 1") == said.count("went away") == 3


def test_in_flowers_own_rounds_other_devices_drop_out_each_time():
    """Its strategies name the round in the config, and leave the group empty."""
    world = World([device(dropout=0.5) for _ in range(40)], Work(0, 1), 1)

    def lost_in(number):
        message = question(group="")
        message.content["config"] = ConfigRecord({"server-round": number})
        return [world.lost(client, message, 0.0) is not None for client in range(40)]

    assert lost_in(1) != lost_in(2) == lost_in(2)


def test_buffered_steps_run_under_a_fleet_that_takes_hours(tmp_path, capsys):
    slow = device(down_bytes_per_s=1e9, up_bytes_per_s=0.01)
    devices = [device(), device(dropout=1.0), slow, device(), device(), device()]
    settings = settings_with("lora-sensors", clients=6, asynchronous="buffered(2)")
    run, grid, said = federate(settings, tmp_path, World(devices, Work(2410, 1), 4), capsys)
    assert [one.updates for one in run.rounds] == [2, 2, 2]
    assert "client 1 (node 1001): its device dropped out" in said
    assert "no answer within" not in said  # the slow one was waited for
    assert grid.simulated_s > HOUR_S


def test_mistakes_are_explained():
    with pytest.raises(UsageError, match="unknown fleet 'phone-at-night'; did you mean 'phones-"):
        check_simulable(Settings.of(fleet="phone-at-night"))
    with pytest.raises(UsageError, match="delays and fleet both say"):
        Settings.of(fleet="pis-on-wifi", delays="1 s")
    with pytest.raises(UsageError, match="of whose 200 clients at most .* there at once, and a ro"):
        check_simulable(settings_with("phones-at-night", clients=200, clients_per_round=200))
    own = with_devices(Settings.of(fleet="pis-on-wifi", device="phone on lte"))
    assert own.energy.device == "phone on lte"


def test_a_run_says_what_fleet_it_simulates(tmp_path):
    result = frugalfl(
        "simulate", MLP, "fleet=phones-at-night", "rounds=2", "clients=20", "clients-per-round=5",
        "--baseline", cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "fleet = phones-at-night (20 simulated devices: phones on" in result.stderr
    run = tmp_path / "runs" / "latest"
    summary = json.loads((run / "summary.json").read_text())
    assert summary["simulated_s"] > 3 * HOUR_S and summary["baseline"]["simulated_s"] > 3 * HOUR_S
    assert "wall time on the simulated clock" in (run / "report.html").read_text()
