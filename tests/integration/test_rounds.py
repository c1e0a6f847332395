"""Rounds over the in-process Grid, with clients that lose things or send rubbish."""

import random
import shutil

import numpy as np
import pytest
from flwr.app import ArrayRecord, Context, Error, Message, RecordDict
from flwr.serverapp.strategy import FedAdam, FedAvg, FedAvgM, FedMedian, FedTrimmedAvg, Krum
from tests.logged import Lines

from frugalfl.errors import FederationError
from frugalfl.modules import read_parameters, write_parameters
from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl_client.app import app as client_app
from frugalfl_client.device import forget_devices
from frugalfl_server.phases.initial_model import initial_model
from frugalfl_server.rounds.downlink import Downlink
from frugalfl_server.rounds.evaluate import accuracy
from frugalfl_server.rounds.flower_arrays import pack, unpack
from frugalfl_server.rounds.parts import Parts
from frugalfl_server.rounds.strategy import FrugalStrategy
from frugalfl_sim.apps import importable, quiet_flower
from frugalfl_sim.engine.grid import InProcessGrid

from .conftest import DIGITS

CLIENTS, ROUNDS = 6, 4
SETTINGS = Settings.of(clients=CLIENTS, clients_per_round=CLIENTS, rounds=ROUNDS, local_epochs=2)


@pytest.fixture
def federate(tmp_path):
    """Run a few rounds with a given client, strategy and plan; return what came of them."""

    def run(
        client=client_app, inner=FedAvg, plan="full", rounds=ROUNDS, before_round=lambda n: None
    ):
        with importable(DIGITS), quiet_flower():
            random.seed(0)
            task = load_task("task:task")
            module = initial_model(task, SETTINGS)
            parameters = read_parameters(module)
            downlink = Downlink(parameters, SETTINGS.wire.downlink)
            settings = SETTINGS.changed(refresh=plan)
            parts = Parts.of(settings, inner(fraction_evaluate=0.0), downlink, "run")
            strategy = FrugalStrategy(lambda _: parts)
            traffic = []

            def after(number, arrays):
                if number:
                    traffic.append(strategy.traffic)
                before_round(number + 1)

            grid = InProcessGrid(client, CLIENTS, SETTINGS.as_config(), tmp_path / "devices")
            with Lines() as warnings:
                result = strategy.start(
                    grid, pack(parameters), num_rounds=rounds, evaluate_fn=after
                )
            final = unpack(result.arrays)
            write_parameters(module, final)
            score = accuracy(module, task.public_rows().test)
        forget_devices()
        return {
            "start": parameters,
            "end": final,
            "traffic": traffic,
            "warnings": warnings,
            "accuracy": score,
        }

    yield run
    forget_devices()


def test_frozen_blocks_do_not_change_and_do_not_travel(federate):
    full, head = federate(), federate(plan="last(1)")
    changed = {n for n in head["start"] if not np.array_equal(head["start"][n], head["end"][n])}
    assert changed == {"8.weight", "8.bias"}
    assert head["traffic"][0].uplink_bytes < full["traffic"][0].uplink_bytes / 3


@pytest.mark.parametrize("inner", [FedAvg, FedAvgM, FedAdam, FedMedian, FedTrimmedAvg, Krum])
def test_flowers_strategies_can_be_wrapped(federate, inner):
    outcome = federate(inner=inner, rounds=2)
    assert all(traffic.updates == CLIENTS for traffic in outcome["traffic"])
    assert all(np.isfinite(tensor).all() for tensor in outcome["end"].values())
    assert any(not np.array_equal(outcome["start"][n], outcome["end"][n]) for n in outcome["end"])


def test_a_client_that_loses_its_disk_is_back_after_one_round(federate, tmp_path):
    def lose(number):
        if number == 3:
            forget_devices()
            shutil.rmtree(tmp_path / "devices" / "client-2")

    outcome = federate(before_round=lose)
    assert [traffic.updates for traffic in outcome["traffic"]] == [6, 6, 5, 6]
    # Its ledger was on that disk too; that a new one begins is told, and costs it nothing.
    (told,) = outcome["warnings"]
    assert "node 1002 (client 2): its energy ledger does not go on" in told


def spoiled(spoil):
    """A client app that lets client 0 answer something else from round 2 on."""

    def app(message: Message, context: Context) -> Message:
        reply = client_app(message, context)
        first = context.node_config["partition-id"] == 0
        if first and message.content["config"]["round"] >= 2:
            return spoil(reply, message)
        return reply

    return app


def damage(reply, message):
    array = reply.content["arrays"]["frames"]
    data = bytearray(array.data)
    data[len(data) // 2] ^= 0xFF
    array.data = bytes(data)
    return reply


def empty(reply, message):
    return Message(RecordDict({"arrays": ArrayRecord()}), reply_to=message)


def fail(reply, message):
    return Message(Error(2, "out of memory"), reply_to=message)


@pytest.mark.parametrize(
    ("spoil", "says"), [(damage, "damaged"), (empty, "no record"), (fail, "out of memory")]
)
def test_a_bad_client_costs_its_own_contribution_only(federate, spoil, says):
    outcome = federate(client=spoiled(spoil))
    assert [traffic.updates for traffic in outcome["traffic"]] == [6, 5, 5, 5]
    assert len(outcome["warnings"]) == 3
    assert all(says in warning for warning in outcome["warnings"])


def test_rounds_stop_when_every_client_fails(federate):
    def broken(message, context):
        return Message(Error(2, "no battery"), reply_to=message)

    with pytest.raises(FederationError, match="none of 6 clients.*no battery"):
        federate(client=broken)
