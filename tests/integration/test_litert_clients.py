"""Federations in which some clients train without PyTorch: same updates, bytes, and what goes wrong."""

import sqlite3
import sys

import numpy as np
import pytest
from flwr.app import Array

from frugalfl import wire
from frugalfl.codec import Limits, decode_frame
from frugalfl.errors import FederationError, UsageError
from frugalfl.settings import Settings
from frugalfl_client.app import app as client_app
from frugalfl_client.device import forget_devices
from frugalfl_client.store import Store
from frugalfl_server.cohort.training_programs import TrainingPrograms
from frugalfl_server.phases.calibrate import ask_clients
from frugalfl_sim.apps import importable, quiet_flower

from .rounds import Rounds, digits

CLIENTS = 4


def small(**changes):
    options = {"trainer": "litert", "uplink": "raw", "local_epochs": 1, "prune": 0.0} | changes
    return Settings.of(clients=CLIENTS, clients_per_round=CLIENTS, **options)


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
    """Compiling takes seconds, and these tests need the same few programs again and again."""
    kept, compiling = {}, TrainingPrograms._compile

    def once(self, purpose):
        key = (purpose, self._settings.train.momentum, self._settings.train.batch_size)
        if key not in kept:
            kept[key] = compiling(self, purpose)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingPrograms, "_compile", once)
        yield


class Twins:
    """A client app whose LiteRT clients each have a twin with PyTorch that is asked the same."""

    def __init__(self, folder, litert, link=lambda number: ""):
        self.folder, self.litert, self.link = folder, litert, link
        self.differences = []
        self.trained = []

    def __call__(self, message, context):
        number = int(context.node_config["partition-id"])
        kind = "litert" if number in self.litert else "torch"
        context.node_config |= {"trainer": kind, "link": self.link(number)}
        reply = client_app(message, context)
        if kind == "litert":
            own = context.node_config
            context.node_config = own | {
                "trainer": "torch", "state-dir": str(self.folder / f"twin-{number}")
            }  # fmt: skip
            self._compare(reply, client_app(message, context))
            context.node_config = own
        return reply

    def _compare(self, reply, twin):
        arrays, expected = (one.content["arrays"] for one in (reply, twin))
        if "ranges" in arrays:
            found, wanted = (
                np.frombuffer(bytes(one["ranges"].data), "<f4") for one in (arrays, expected)
            )
            if len(found):
                self.differences.append(float(np.abs(found - wanted).max()))
        elif len(arrays["frames"].data):
            found, wanted = (
                decode_frame(bytes(one["frames"].data), Limits()).blocks
                for one in (arrays, expected)
            )
            assert found.keys() == wanted.keys()
            self.trained.append(tuple(found))
            for block, tensors in found.items():
                for tensor, other in zip(tensors, wanted[block], strict=True):
                    self.differences.append(float(np.abs(tensor - other).max()))


@pytest.mark.slow  # four federations; the unit tests of both trainers compare their updates
def test_clients_of_both_kinds_agree_whatever_blocks_each_of_them_trains(tmp_path):
    client = Twins(tmp_path, litert={1, 2}, link=lambda number: "lora" * (number % 2))
    with digits():
        run = Rounds(small(refresh="by-link(full, lora, last(1))"), tmp_path, client=client)
        for _ in range(3):
            run.next()
        run.prune(0.5)
        run.next()
        question = wire.CalibrateRequest("run", 5, -1, -1, b"", 90.0)
        nodes = list(run.grid.get_node_ids())
        answers = ask_clients(run.grid, run.downlink, nodes, question, run.programs)
    assert run.warnings == answers.cost.failures == []
    assert run.updates == [CLIENTS] * 4
    assert len(answers.ranges) == CLIENTS
    assert client.trained.count((3,)) == 2  # its plan once its link was heard of
    assert client.trained.count((0, 1, 2, 3)) == 6
    assert max(client.differences) < 1e-5
    # A program goes to each client once: full to both, then last(1) to one of them, and both anew
    # for the pruned shapes. A client that has one for this model needs none to calibrate.
    sent = [traffic.program_bytes > 0 for traffic in run.traffic]
    assert sent == [True, True, False, True]
    assert answers.cost.program_bytes == 0
    assert all(traffic.program_bytes < traffic.downlink_bytes for traffic in run.traffic)


@pytest.mark.slow  # compiles the whole model; the trainers' unit tests compare both in a subspace
def test_clients_of_both_kinds_move_the_same_coordinates_and_no_fold_needs_another_program(
    tmp_path,
):
    client = Twins(tmp_path, litert={1, 2})
    with digits():
        run = Rounds(
            small(refresh="subspace(256, fold 2)", evaluate_rows=20, learning_rate=0.01),
            tmp_path,
            client=client,
        )  # what measures runs between the trainings of a fold
        for _ in range(5):
            run.next()
    assert run.warnings == []
    assert run.updates == [CLIENTS] * 5
    assert client.trained == [(0,)] * 2 * 5  # the coordinates, which are one block
    assert max(client.differences) < 1e-5
    assert [traffic.program_bytes > 0 for traffic in run.traffic] == [True] + [False] * 4
    assert run.downlink.oldest_version > 1  # it was folded


def test_the_first_contact_tells_that_a_client_needs_a_program(tmp_path):
    client = Twins(tmp_path, litert={0, 3})
    with digits():
        run = Rounds(small(trainer="auto", evaluate_rows=20), tmp_path, client=client)
        for _ in range(3):
            run.next()
    assert run.updates == [2, 4, 4]
    assert [traffic.program_bytes > 0 for traffic in run.traffic] == [False, True, False]
    assert run.warnings == []
    assert max(client.differences) < 1e-5
    records = run.traffic[1].energy
    assert sum(record.downlink_bytes for record in records) == run.traffic[1].downlink_bytes
    by_litert = [record for record in records if record.client in ("0", "3")]
    assert all("litert" in record.software for record in by_litert)
    assert sum(record.correct is not None for record in by_litert) == 2


def test_a_returning_device_that_still_has_the_program_is_not_sent_it_again(tmp_path):
    with digits():
        run = Rounds(small(), tmp_path)
        run.next()
        again = Rounds(
            small(trainer="auto"), tmp_path, run="another", client=Twins(tmp_path, {0, 1, 2, 3})
        )
        again.next()
        again.next()
    assert again.updates == [0, CLIENTS]
    assert again.traffic[1].program_bytes == 0


def test_a_program_that_the_disk_lost_or_altered_is_sent_again(tmp_path):
    with digits():
        run = Rounds(small(), tmp_path)
        run.next()
        with sqlite3.connect(tmp_path / "client-1" / "store.sqlite") as db:
            db.execute("UPDATE programs SET data = substr(data, 2)")
        with sqlite3.connect(tmp_path / "client-2" / "store.sqlite") as db:
            db.execute("DELETE FROM programs")
        forget_devices()  # as after a restart: nothing is loaded any more
        run.next()
        run.next()
    assert run.updates == [4, 2, 4]
    one = run.traffic[0].program_bytes // CLIENTS
    assert [traffic.program_bytes for traffic in run.traffic[1:]] == [0, 2 * one]
    assert run.warnings == []


def test_a_program_damaged_on_its_way_costs_one_contribution_and_one_line(tmp_path):
    damage = [lambda data: data[:-5], lambda data: data[:50] + b"!" + data[51:]]

    def client(message, context):
        program = message.content["arrays"].get("program")
        if context.node_config["partition-id"] == 2 and program is not None and damage:
            data = damage.pop()(bytes(program.data))
            message.content["arrays"]["program"] = Array(
                dtype="uint8", shape=(len(data),), stype=program.stype, data=data
            )
        return client_app(message, context)

    with digits():
        run = Rounds(small(), tmp_path, client=client)
        for _ in range(3):
            run.next()
    assert run.updates == [3, 3, 4]
    assert len(run.warnings) == 2
    for warning in run.warnings:
        assert warning.startswith("node 1002: the training program (")
        assert "truncated or altered" in warning


def test_rows_that_do_not_fit_cost_one_contribution_and_one_line(tmp_path, app):
    folder = app(
        "return Examples(private.x[mine], private.y[mine])",
        "return Examples(private.x[mine][..., : 7 if client == 2 else 8], private.y[mine])",
    )
    try:
        with importable(folder), quiet_flower():
            run = Rounds(small(), tmp_path)
            run.next()
    finally:
        forget_devices()
    assert run.updates == [3]
    [warning] = run.warnings
    assert warning.startswith("node 1002: client 2 of 4: ")
    assert "rows have shape (1, 8, 7), the training program takes" in warning


def test_a_model_that_cannot_be_compiled_leaves_out_the_clients_that_need_it(tmp_path, app):
    folder = app("nn.Flatten()", "nn.BatchNorm2d(32, momentum=None), nn.Flatten()")
    try:
        with importable(folder), quiet_flower():
            run = Rounds(small(trainer="auto"), tmp_path, client=Twins(tmp_path, litert={0, 1}))
            run.next()  # the first contact
            run.next()
            assert run.updates == [2, 2]
            assert len(run.warnings) == 2
            assert all("batch norm with momentum=None" in warning for warning in run.warnings)
            alone = Rounds(small(), tmp_path / "alone")
            with pytest.raises(FederationError, match="none of 4 clients could train; the first"):
                alone.next()
    finally:
        forget_devices()


def test_private_blocks_need_pytorch():
    with pytest.raises(UsageError, match="private blocks begin as the task's model makes them"):
        small(private="6")


def test_an_unknown_trainer_is_refused(tmp_path):
    def client(message, context):
        context.node_config["trainer"] = "jax"
        return client_app(message, context)

    with digits(), pytest.raises(UsageError, match="trainer is 'jax'; it must be auto, torch"):
        Rounds(small(), tmp_path, client=client).next()


def test_without_pytorch_auto_means_litert(tmp_path, monkeypatch):
    forget_devices()
    heard = []

    def client(message, context):
        monkeypatch.setitem(sys.modules, "torch", None)  # what an import finds that fails
        try:
            reply = client_app(message, context)
        finally:
            monkeypatch.undo()
        heard.append(wire.unpack_reply(reply).trainer)
        return reply

    with digits():
        run = Rounds(small(trainer="auto"), tmp_path, client=client)
        run.next()
        run.next()
    assert heard == ["litert"] * 2 * CLIENTS
    assert run.updates == [0, CLIENTS]
    assert Store(tmp_path / "client-0" / "store.sqlite").programs()
