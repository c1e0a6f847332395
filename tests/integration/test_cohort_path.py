"""Clients that answer as a cohort give what the same clients give one by one."""

import pytest
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg

from frugalfl import wire
from frugalfl.energy.many_ledgers import ManyLedgers
from frugalfl.energy.shares import SHARED
from frugalfl.errors import DivergedError
from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl_client.app import app as client_app
from frugalfl_client.training.pytorch import TorchTrainer
from frugalfl_sim.engine.cohort import CohortTrainer
from frugalfl_sim.engine.fleet import Fleet
from frugalfl_sim.engine.grid import InProcessGrid

from .rounds import Rounds, digits

CLIENTS = 5
PLAIN = {
    "task": "task:task", "clients": CLIENTS, "clients_per_round": 3, "local_epochs": 1, "rounds": 60,
    "trainer": "torch", "initial": "seeded", "refresh": "full", "evaluate_rows": 8,
}  # fmt: skip
WAYS = {
    "plain": {},
    "feedback": {"uplink": "feedback(momentum 0.5) | topk(5%) | sign | golomb"},
    "subspace": {"refresh": "subspace(64, fold 2)"},
    "private": {"private": "8", "prune": 0.0},
    "proximal": {"refresh": "last(1)"},
}


class OneByOne:
    """The trainer of a device, in a cohort's place: so that all floats are the same."""

    def __init__(self, task, settings):
        self._trainer = TorchTrainer(task, settings)

    def train(self, jobs):
        return [self._tried(job) for job in jobs]

    def _tried(self, job):
        try:
            return self._trainer.train(**vars(job))
        except DivergedError as error:
            return error


class Watched(InProcessGrid):
    """Keeps the replies."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.seen = []

    def _answered(self, message, reply):
        self.seen.append(reply if reply.has_error() else wire.unpack_reply(reply))


def federation(folder, changes=None, trainer=None, client=client_app):
    """Rounds of digits on a grid with a fleet of its own; without a trainer, one by one."""
    settings = Settings.of(**PLAIN | (changes or {}))
    rounds = Rounds(settings, folder)
    fleet = None if trainer is None else Fleet(folder, trainer(rounds.task, settings))
    config = settings.as_config()
    rounds.grid = Watched(client, settings.simulation.clients, config, folder, fleet=fleet)
    return rounds


def some_rounds(rounds, count=4):
    """Let changing clients take part, so that some miss versions; return what they replied."""
    for number in range(count):
        rounds.next(only=sorted({0, number % CLIENTS, (number + 2) % CLIENTS}))
    return rounds.grid.seen


def said(reply):
    """Return what a reply says, without joules and seconds."""
    told = [(one.phase, one.client, one.round, one.samples, one.correct) for one in reply.records]
    return (
        reply.frame, reply.held, reply.samples, reply.loss, reply.accuracy, reply.scored,
        reply.head.number, told,
    )  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_the_same_bytes_and_records_as_one_by_one(tmp_path, way):
    with digits():
        alone = some_rounds(federation(tmp_path / "alone", WAYS[way]))
    with digits():
        together = some_rounds(federation(tmp_path / "together", WAYS[way], OneByOne))
    assert len(alone) == len(together) >= 8
    assert list(map(said, together)) == list(map(said, alone))


def test_the_batched_trainer_comes_to_the_same_model(tmp_path):
    with digits():
        alone = federation(tmp_path / "alone")
        some_rounds(alone)
    with digits():
        together = federation(tmp_path / "together", trainer=CohortTrainer)
        some_rounds(together)
    for one, other in zip(alone.grid.seen, together.grid.seen, strict=True):
        assert one.samples == other.samples
        assert other.loss == pytest.approx(one.loss, rel=1e-3)
        assert len(other.frame) == pytest.approx(len(one.frame), rel=0.02)
    for name, tensor in alone.model.items():
        assert abs(together.model[name] - tensor).max() < 0.02


def test_the_same_seeds_give_the_same_bytes_again_and_on_two_threads(tmp_path):
    frames, before = [], torch.get_num_threads()
    try:
        for number, threads in enumerate((1, 1, 2)):
            torch.set_num_threads(threads)
            with digits():
                rounds = federation(tmp_path / str(number), trainer=CohortTrainer)
                frames.append([reply.frame for reply in some_rounds(rounds, 2)])
    finally:
        torch.set_num_threads(before)
    assert frames[0] == frames[1] == frames[2]


def test_shares_of_a_window_add_up_and_say_what_they_are(tmp_path):
    with digits():
        rounds = federation(tmp_path, {"clients_per_round": CLIENTS}, OneByOne)
        rounds.next()
    records = [
        next(one for one in reply.records if one.phase == "train") for reply in rounds.grid.seen
    ]
    paces = [one.cpu_s / one.samples for one in records]
    assert paces == pytest.approx([paces[0]] * CLIENTS, rel=1e-4)
    for one in records:
        (reading,) = one.readings
        assert reading.source.endswith(SHARED) and not reading.measured
        assert reading.energy_j == pytest.approx(4.0 * one.cpu_s, rel=1e-4)  # 4 W a busy core


def test_what_is_unknown_of_a_batch_is_unknown_of_each_client(tmp_path):
    changes = {"device": "cortex-m4 * 2, raspberry-pi-4b * 3", "clients_per_round": CLIENTS}
    with digits():
        rounds = federation(tmp_path, changes, OneByOne)
        rounds.next()
    joules = [
        {one.estimated_j for one in reply.records if one.phase == "train"}
        for reply in rounds.grid.seen
    ]
    assert joules[0] == joules[1] == {None}
    assert all(one > 0 for found in joules[2:] for one in found)


def test_ledgers_of_a_cohort_verify_and_what_was_edited_does_not(tmp_path):
    with digits():
        rounds = federation(tmp_path, trainer=OneByOne)
        some_rounds(rounds)
    many = ManyLedgers(tmp_path / "ledgers.sqlite")
    heads = {}
    for traffic in rounds.traffic:
        for head in traffic.heads:
            heads.setdefault(int(head.client), {})[head.number] = bytes.fromhex(head.hash)
    for client in many.clients():
        assert many.of(client).verify(heads[client]).fault == ""
    many._db.execute("DELETE FROM bundles WHERE client = 0 AND number = 12")
    assert "is missing" in ManyLedgers(tmp_path / "ledgers.sqlite").of(0).verify(heads[0]).fault
    many.close()


def test_a_client_whose_training_diverges_costs_its_own_contribution_only(tmp_path):
    class Diverging(OneByOne):
        def train(self, jobs):
            return [DivergedError("the training loss is nan"), *super().train(jobs[1:])]

    with digits():
        rounds = federation(tmp_path, {"clients_per_round": CLIENTS}, Diverging)
        rounds.next()
    assert rounds.updates == [CLIENTS - 1]
    assert sum(isinstance(one, Message) for one in rounds.grid.seen) == 1


def test_a_cohort_that_cannot_train_as_a_whole_is_trained_one_by_one(tmp_path):
    class Failing(OneByOne):
        def train(self, jobs):
            raise DivergedError("all of it")

    with digits():
        alone = federation(tmp_path / "alone")
        alone.next()
    with digits():
        rounds = federation(tmp_path / "together", trainer=Failing)
        rounds.next()
    assert [one.frame for one in rounds.grid.seen] == [one.frame for one in alone.grid.seen]


def test_neither_end_sees_what_the_other_does_to_a_message(tmp_path):
    app, kept = ClientApp(), []

    @app.train()
    def train(message, context):
        kept.append(message.content)
        message.content["config"]["numbers"].append(9)
        message.content["arrays"]["a"].data = b"changed"
        content = RecordDict({"metrics": MetricRecord({"n": [1]}), "config": ConfigRecord({})})
        kept.append(content)
        return Message(content, reply_to=message)

    grid = InProcessGrid(app, 1, {}, tmp_path)
    array = Array(dtype="uint8", shape=(2,), stype="x", data=b"ab")
    content = RecordDict(
        {"arrays": ArrayRecord({"a": array}), "config": ConfigRecord({"numbers": [1, 2]})}
    )
    (node,) = grid.get_node_ids()
    (reply,) = grid.send_and_receive([grid.create_message(content, "train", node, "1")])
    assert content["config"]["numbers"] == [1, 2]
    assert content["arrays"]["a"].data == b"ab"
    kept[1]["metrics"]["n"].append(2)
    assert reply.content["metrics"]["n"] == [1]


def test_flowers_own_strategy_and_any_client_run_on_a_fleet(tmp_path):
    app = ClientApp()

    @app.train()
    def train(message, context):
        arrays = {
            name: Array(array.numpy() + 1) for name, array in message.content["arrays"].items()
        }
        metrics = MetricRecord({"num-examples": 1})
        return Message(
            RecordDict({"arrays": ArrayRecord(arrays), "metrics": metrics}), reply_to=message
        )

    settings = Settings.of(**PLAIN)
    with digits():
        fleet = Fleet(tmp_path, OneByOne(load_task("task:task"), settings))
        grid = InProcessGrid(app, CLIENTS, settings.as_config(), tmp_path, fleet=fleet)
        start = ArrayRecord({"w": Array(torch.zeros(3).numpy())})
        strategy = FedAvg(fraction_evaluate=0.0, min_available_nodes=CLIENTS)
        result = strategy.start(grid, start, num_rounds=3)
    assert result.arrays["w"].numpy().tolist() == [3.0, 3.0, 3.0]
