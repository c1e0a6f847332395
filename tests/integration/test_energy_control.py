"""Budgets, batteries and early stops through real rounds."""

import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from flwr.app import Message

from frugalfl import wire
from frugalfl.energy import Head, Reading
from frugalfl.energy.hash_chain import link
from frugalfl.energy.record_json import to_text
from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl_client.app import app as client_app
from frugalfl_server.cohort.energy_limits import REST_ROUNDS
from frugalfl_server.phases import train as phase
from frugalfl_server.phases.conduct import conduct
from frugalfl_server.phases.federation import Federation
from frugalfl_server.rounds.flower_strategies import strategy_of
from frugalfl_server.rounds.stopping import TrainingOver
from frugalfl_server.run.directory import RunDirectory
from frugalfl_sim.engine.grid import InProcessGrid

from .conftest import DIGITS, SMALL, frugalfl
from .rounds import Rounds, digits

CLIENTS = 6
EPOCH_J, UPLOAD_J = 2.0, 1.0


def small(**changes):
    return Settings.of(
        **{"clients": CLIENTS, "clients_per_round": CLIENTS, "local_epochs": 2, "prune": 0.0}
        | changes
    )


class Devices:
    """A ClientApp whose devices use 2 J an epoch and 1 J an upload, and may have a battery."""

    def __init__(self, folder=None, batteries=None):
        self.asked, self.calibrated = [], set()
        self._heads = {}
        self._folder, self._batteries = folder, batteries or {}

    def __call__(self, message, context):
        number = int(context.node_config["partition-id"])
        config = message.content["config"]
        if number in self._batteries:
            file = self._folder / f"battery-{number}"
            file.write_text(self._batteries[number])
            context.node_config["battery-file"] = str(file)
        reply = client_app(message, context)
        if message.metadata.message_type == wire.CALIBRATE:
            self.calibrated.add(number)
            return reply
        told = wire.unpack_reply(reply)
        epochs = config.get("epochs", 0) or 2
        self.asked.append((config["round"], number, epochs if told.frame else 0))
        used = {"train": EPOCH_J * epochs, "upload": UPLOAD_J}
        records = tuple(
            replace(record, readings=(_reading(used.get(record.phase, 0.0)),))
            for record in told.records
        )
        told = replace(told, records=records, head=self._ledger_with(number, records, told.head))
        return Message(wire.pack_reply(told), reply_to=message)

    def _ledger_with(self, number, records, head):
        """Return the end of a ledger that holds these joules, not those that the meter read."""
        end = self._heads.get(number, Head(0, bytes(32)))
        for record in records:
            end = link(end, to_text(record))
        self._heads[number] = end
        return None if head is None else replace(head, number=end.number, hash=end.hash)

    def of_round(self, number):
        return {client: epochs for asked, client, epochs in self.asked if asked == number}


def _reading(energy_j):
    return Reading("cpu", energy_j, None, False, "given", "test", "process", None)


def federate(settings, folder, devices, rounds):
    with digits():
        run = Rounds(settings, folder / "devices", client=devices, inner=strategy_of(settings))
        for _ in range(rounds):
            run.next()
    return run


@pytest.mark.parametrize("strategy", ["fedavg", "fedmedian"])
def test_near_its_budget_a_client_trains_less_and_then_no_more(tmp_path, strategy):
    devices = Devices()
    settings = small(energy_budget=13.5, strategy=strategy)
    with pytest.raises(TrainingOver, match="0 of 6 clients.*6 at the end of energy-budget 13.5 J"):
        federate(settings, tmp_path, devices, 4)
    # 5 J, 5 J, then one epoch for 3 J; half a joule is left.
    assert [set(devices.of_round(number).values()) for number in (1, 2, 3)] == [{2}, {2}, {1}]
    assert not devices.of_round(4)


def test_a_request_for_fewer_epochs_trains_as_many(tmp_path):
    def shortened(message, context):
        message.content["config"]["epochs"] = 1
        return client_app(message, context)

    asked = federate(small(local_epochs=3), tmp_path / "asked", shortened, 1)
    meant = federate(small(local_epochs=1), tmp_path / "meant", client_app, 1)
    assert all((asked.model[name] == meant.model[name]).all() for name in meant.model)
    assert any((asked.model[name] != asked.start[name]).any() for name in asked.model)


def test_a_round_goes_on_with_the_clients_that_are_left(tmp_path):
    devices = Devices()
    settings = small(energy_budget=11.0, clients_per_round=4)
    with digits():
        run = Rounds(settings, tmp_path, client=devices, inner=strategy_of(settings))
        with pytest.raises(TrainingOver):
            for _ in range(9):
                run.next()
    # Two rounds a client are 10 J, in which 12 contributions are made; nobody is left for a third.
    assert sum(run.updates) == 2 * CLIENTS
    assert run.updates[-1] < 4
    assert run.traffic[-1].skipped == CLIENTS - run.updates[-1]
    assert run.warnings == []


def test_a_strategy_that_needs_more_clients_than_are_left_ends_the_training(tmp_path):
    devices = Devices(tmp_path, {0: "5 %", 1: "5 %"})
    settings = small(strategy="krum(1)", min_battery=20)
    run = federate(settings, tmp_path, devices, 1)
    assert run.updates == [4]
    with digits():
        run.next()  # krum(1) needs five, so those that rest are asked once more
        with pytest.raises(TrainingOver, match="4 of 6 clients .* needs 5: 2 below min-battery"):
            run.next()


def test_a_budget_holds_for_a_sticky_group_too(tmp_path):
    devices = Devices()
    settings = small(
        energy_budget=6.0, clients_per_round=2, sampling="sticky(3, 1)", initial="seeded"
    )
    with digits():
        run = Rounds(settings, tmp_path, client=devices, inner=strategy_of(settings))
        with pytest.raises(TrainingOver):
            for _ in range(9):
                run.next()
    clients = [client for _, client, _ in devices.asked]
    assert sorted(clients) == list(range(CLIENTS))  # 5 J each: once, and everybody


def test_a_low_battery_does_not_train_and_is_left_alone_for_some_rounds(tmp_path):
    levels = {0: "10 %", 1: "10 % charging", 2: "60 %", 3: "no idea"}
    devices = Devices(tmp_path, levels)
    run = federate(small(min_battery=20), tmp_path, devices, REST_ROUNDS + 2)
    last = REST_ROUNDS + 2
    for number in range(1, last + 1):
        asked = devices.of_round(number)
        assert {asked[client] for client in range(1, CLIENTS)} == {2}
        assert asked.get(0) == (0 if number in (1, last) else None)
    assert run.updates == [CLIENTS - 1] * last
    assert [traffic.skipped for traffic in run.traffic] == [0, *[1] * REST_ROUNDS, 0]
    # Declining is two contacts with the radio, and they are in the record.
    declined = [record.phase for record in run.traffic[0].energy if record.client == "0"]
    assert declined == ["download", "upload"]
    assert run.warnings == []


def test_a_battery_that_recovers_brings_its_device_back(tmp_path):
    levels = {0: "10 %"}
    devices = Devices(tmp_path, levels)
    with digits():
        run = Rounds(small(min_battery=20), tmp_path / "devices", client=devices)
        run.next()
        levels[0] = "80 %"
        for _ in range(REST_ROUNDS + 1):
            run.next()
    assert devices.of_round(REST_ROUNDS + 2)[0] == 2
    assert run.updates[-1] == CLIENTS


def test_without_the_setting_no_battery_is_looked_at(tmp_path):
    run = federate(small(), tmp_path, Devices(tmp_path, {0: "1 %"}), 1)
    assert run.updates == [CLIENTS]


def test_a_fleets_link_is_what_its_simulated_clients_are_connected_by(tmp_path):
    run = federate(small(device="phone on lte * 2, phone"), tmp_path, client_app, 1)
    links = {record.client: record.link for record in run.traffic[0].energy}
    assert links == {str(n): "loopback" if n % 3 == 2 else "lte" for n in range(CLIENTS)}
    sent = [r for r in run.traffic[0].energy if (r.phase, r.link) == ("upload", "lte")]
    assert all(record.estimated_j > 12 for record in sent)  # the tail of a contact alone


def train(settings, folder, devices=None):
    with digits():
        task = load_task(settings.run.task)
        run = RunDirectory.create(folder, task.name, settings, DIGITS)
        grid = InProcessGrid(
            devices or Devices(),
            settings.simulation.clients,
            settings.as_config(),
            run.path / "devices",
        )
        phase.train(Federation(grid, settings, task, run, quiet=True))
    return run


def test_a_run_that_is_stopped_is_the_beginning_of_one_that_is_not(tmp_path):
    settings = small(rounds=5, clients_per_round=3, refresh="alternate(full, last(1))")
    whole = train(settings, tmp_path / "whole")
    # Three clients use 5 J a round: 15, 30.
    stopped = train(settings.changed(stop_joules=29.0), tmp_path / "stopped")
    same = [
        [(r.round, r.accuracy, r.loss, r.uplink_bytes, r.downlink_bytes) for r in run.rounds]
        for run in (whole, stopped)
    ]
    assert len(same[0]) == 5
    assert same[1] == same[0][:2]
    assert "train ended after 2 of 5 rounds" in stopped.read_json("stopped.json")["why"]
    assert "30 J, of stop-joules 29" in stopped.read_json("stopped.json")["why"]
    assert not (whole.path / "stopped.json").exists()


def test_limits_that_are_far_off_change_nothing(tmp_path):
    settings = small(rounds=2, clients_per_round=3)
    far = settings.changed(energy_budget=1e6, stop_joules=1e9, stop_accuracy=1.0, min_battery=5)
    rounds = [
        [(r.round, r.accuracy, r.loss, r.uplink_bytes, r.skipped) for r in run.rounds]
        for run in (train(settings, tmp_path / "without"), train(far, tmp_path / "with"))
    ]
    assert rounds[0] == rounds[1]


@pytest.mark.slow  # trains, recovers and exports
def test_a_stopped_run_is_pruned_recovered_exported_and_says_why(tmp_path):
    result = frugalfl(
        "simulate", DIGITS, *SMALL, "stop-joules=1e-6", "device=phone on wifi", "--baseline",
        cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "train ended after 1 of 6 rounds: the clients have used" in result.stderr
    run = tmp_path / "runs" / "latest"
    summary = json.loads((run / "summary.json").read_text())
    assert summary["status"] == "finished"
    assert "stop-joules 1e-06" in summary["stopped"]
    assert (summary["rounds"], summary["recover_rounds"]) == (1, 3)
    assert summary["baseline"]["rounds"] == 1
    assert (run / "model" / "model_int8.tflite").is_file()
    assert "stop-joules" in (run / "report.html").read_text()
    table = pq.read_table(run / "rounds.parquet").to_pylist()
    ours = [row["round"] for row in table if row["federation"] == "frugalfl"]
    assert ours == [1, 7, 8, 9, 10]  # recovery keeps its numbers, and with them its step sizes
    energy = frugalfl("energy", run, cwd=tmp_path)
    assert "stopped: train ended after 1 of 6 rounds" in energy.stdout
    records = json.loads(frugalfl("energy", run, "--json", cwd=tmp_path).stdout)
    assert {row["round"] for row in records if row["phase"] == "prune"} == {1}


def test_a_budget_keeps_back_enough_to_recover_a_pruned_model(tmp_path):
    devices = Devices()
    settings = small(
        clients=4, clients_per_round=4, rounds=6, recover_rounds=3, prune=0.5, energy_budget=30.0,
    )  # fmt: skip
    with digits():
        task = load_task(settings.run.task)
        run = RunDirectory.create(tmp_path, task.name, settings, DIGITS)
        grid = InProcessGrid(devices, 4, settings.as_config(), run.path / "devices")
        conduct(Federation(grid, settings, task, run, quiet=True))
    phases = [record.phase for record in run.rounds]
    # Of 30 J, 18 J for 6 of 10 rounds; of the 12 J that are left, two of recovery. One calibrates.
    assert phases == ["train"] * 4 + ["recover"] * 2 + ["calibrate"]
    assert devices.calibrated == {0, 1, 2, 3}
    why = run.read_json("stopped.json")["why"]
    assert "train ended after 4 of 6" in why
    assert "recover ended after 2 of 3" in why
