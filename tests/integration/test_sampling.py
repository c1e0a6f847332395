"""Sticky sampling through real rounds."""

import pytest
from flwr.app import Error, Message

from frugalfl.settings import Settings
from frugalfl_client.app import app as client_app
from frugalfl_server.rounds.flower_strategies import strategy_of

from .rounds import Rounds, digits

CLIENTS = 9
A_ROUND = 5


def settings(strategy):
    return Settings.of(
        clients=CLIENTS, clients_per_round=A_ROUND, local_epochs=1, prune=0.0, initial="seeded",
        strategy=strategy, sampling="sticky(6, 1)",
    )  # fmt: skip


class Noting:
    """A ClientApp that notes who was asked in which round; one client always fails."""

    def __init__(self, failing=None):
        self.asked = []
        self._failing = failing

    def __call__(self, message, context):
        self.asked.append((int(message.metadata.group_id), context.node_id))
        if context.node_id == self._failing:
            return Message(Error(1, "out of memory"), reply_to=message)
        return client_app(message, context)

    def of_round(self, number):
        return {node for asked, node in self.asked if asked == number}


def federate(chosen, folder, client, rounds=6):
    with digits():
        run = Rounds(chosen, folder, client=client, inner=strategy_of(chosen))
        for _ in range(rounds):
            run.next()
    return run


@pytest.mark.parametrize("strategy", ["fedavg", "fedadam(0.01)", "krum(1)"])
def test_a_group_trains_whatever_the_strategy(tmp_path, strategy):
    client = Noting()
    run = federate(settings(strategy), tmp_path, client)
    assert run.updates == [A_ROUND] * 6
    groups = [client.of_round(number) for number in range(1, 7)]
    assert len(groups[0] | groups[1]) <= 7  # the group of six, and one newcomer
    assert len(set().union(*groups)) == CLIENTS


def test_a_client_that_always_fails_does_not_keep_its_place(tmp_path):
    chosen = settings("fedavg")
    client = Noting()
    federate(chosen, tmp_path / "before", client, rounds=1)
    failing = min(client.of_round(1))
    client = Noting(failing)
    run = federate(chosen, tmp_path, client, rounds=3)
    assert run.updates == [A_ROUND - 1, A_ROUND, A_ROUND]
    assert failing in client.of_round(1)


def test_fewer_bytes_go_down_than_to_clients_drawn_at_random(tmp_path):
    down = []
    for sampling in ("sticky(2, 0.1)", "uniform"):
        chosen = Settings.of(
            clients=CLIENTS, clients_per_round=2, local_epochs=1, prune=0.0, initial="seeded",
            sampling=sampling,
        )  # fmt: skip
        run = federate(chosen, tmp_path / sampling, client_app, rounds=8)
        down.append(sum(traffic.downlink_bytes for traffic in run.traffic))
    assert down[0] < 0.75 * down[1]
