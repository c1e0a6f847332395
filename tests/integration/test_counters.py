"""Counters over Flower: everybody's sums at one's own keys, and whoever gives none is left out."""

import dataclasses
import json
import logging
from itertools import pairwise

import numpy as np
import pyarrow.parquet as pq
import pytest
import toy_rare
from flwr.app import Error, Message
from flwr.common.constant import ErrorCode
from logged import Lines
from mutations import damaged, sealed

from frugalfl import wire
from frugalfl.energy import SERVER
from frugalfl.errors import FederationError, TaskError
from frugalfl.sums import Table, pack_tables, unpack_tables
from frugalfl.trees.ways import SKETCH
from frugalfl_client.app import app as client_app
from frugalfl_client.device import forget_devices
from frugalfl_client.kept_totals import totals_of
from frugalfl_server.phases.counter_bounds import made_up, overflowing
from frugalfl_server.phases.share_counters import counters_into
from frugalfl_server.rounds.evaluate import Scores
from frugalfl_server.run.directory import RunDirectory
from frugalfl_sim.engine.grid import InProcessGrid

from .tree_runs import CLIENTS, devices, model_of, run_of, said, settings_of

pytest.importorskip("lightgbm")


class Shared:
    """What sharing left: the run directory, warnings, and the sums on each device's disk."""

    def __init__(self, folder, client=client_app, task="counting", at_least=1):
        settings = settings_of("bagging", task=task, counters="shared", counters_at_least=at_least)
        with devices(), Lines() as self.warnings, Lines(logging.INFO) as lines:
            self.run = RunDirectory.create(folder, task, settings, app=None)
            grid = InProcessGrid(client, CLIENTS, settings.as_config(), self.run.path / "devices")
            counters_into(
                self.run, grid, CLIENTS, Scores(0.5, {}, 0), settings.train.counters_at_least
            )
        self.line = [line for line in lines if line not in self.warnings][-1]

    def folder(self, number):
        return self.run.path / "devices" / f"client-{number}"

    def totals(self, number):
        return totals_of(self.folder(number), self.run.name)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return Shared(tmp_path_factory.mktemp("shared"))


def total_of(clients):
    found = np.zeros((toy_rare.PLACES, toy_rare.PERIODS), np.int64)
    for client in clients:
        keys, counts = toy_rare.counted(client)
        found[keys] += counts
    return found


def check(shared, among):
    """Assert that these clients, and no others, have the sums over each other."""
    for number in range(CLIENTS):
        if number not in among:
            assert not (shared.folder(number) / "totals.bin").exists()
            continue
        keys, _ = toy_rare.counted(number)
        tables = shared.totals(number)
        assert list(tables) == ["seen", "keys"]
        np.testing.assert_array_equal(tables["seen"].keys, keys)
        np.testing.assert_array_equal(tables["seen"].counts, total_of(among)[keys])


def test_each_client_gets_the_plain_sums_at_its_own_keys_only(shared):
    check(shared, range(CLIENTS))
    assert shared.warnings == []
    assert any(len(toy_rare.counted(number)[0]) < toy_rare.PLACES for number in range(CLIENTS))


def test_the_run_says_what_was_shared_and_no_key_or_count(shared):
    about = json.loads((shared.run.path / "counters.json").read_text())
    places = int((total_of(range(CLIENTS)).sum(axis=1) > 0).sum())
    assert about["clients"] == CLIENTS
    assert about["keys"] == {"seen": places, "keys": places}
    assert "to the server" in about["revealed"]
    (row,) = pq.read_table(shared.run.path / "rounds.parquet").to_pylist()
    assert (row["phase"], row["round"], row["clients"]) == ("counters", 0, CLIENTS)
    assert row["uplink_bytes"] == about["uplink_bytes"] > 0
    assert row["downlink_bytes"] == about["downlink_bytes"] > 0
    assert row["energy_estimated_j"] or row["energy_measured_j"]
    assert {record.client for record in shared.run.energy} == {"0", "1", "2", "3"}
    assert shared.line.startswith(f"counters: summed over {CLIENTS} clients  up ")


@pytest.mark.parametrize("at_least", [2, 3, 4, 5])
def test_no_sum_over_fewer_clients_than_was_set_is_handed_back(at_least, tmp_path):
    """A client gets its own counts there, whatever others have."""
    shared = Shared(tmp_path, at_least=at_least)
    whole = total_of(range(CLIENTS))
    holders = np.zeros(toy_rare.PLACES, int)
    for number in range(CLIENTS):
        holders[toy_rare.counted(number)[0]] += 1
    assert 0 < (holders >= 3).sum() < toy_rare.PLACES
    for number in range(CLIENTS):
        keys, own = toy_rare.counted(number)
        expected = np.where((holders[keys] >= at_least)[:, None], whole[keys], own)
        np.testing.assert_array_equal(shared.totals(number)["seen"].counts, expected)
    about = json.loads((shared.run.path / "counters.json").read_text())
    assert about["at_least"] == at_least
    assert about["handed_back"]["seen"] == (holders >= at_least).sum()
    assert [("no key is one of 5 clients" in line) for line in shared.warnings] == [True] * (
        at_least == 5
    )


def changing(change, who=(1,)):
    """Return an app of which some clients' tables are others."""

    def app(message, context):
        reply = client_app(message, context)
        asked = message.metadata.message_type == wire.COUNTERS and reply.has_content()
        if asked and context.node_config["partition-id"] in who:
            frames = reply.content["arrays"]["frames"]
            frames.data = change(frames.data) if frames.data else frames.data
        return reply

    return app


def other_periods(data):
    tables = unpack_tables(data)
    wide = tables["seen"]
    return pack_tables({"seen": Table(wide.keys, np.ascontiguousarray(wide.counts[:, :2]))})


def boasting(data):
    tables = unpack_tables(data)
    most = np.full_like(tables["seen"].counts, 2**32 - 1)
    return pack_tables({"seen": Table(tables["seen"].keys, most)})


def inflated(data):
    tables = unpack_tables(data)
    seen = tables["seen"]
    return pack_tables(tables | {"seen": Table(seen.keys, seen.counts * 1000)})


def one_key(data):
    tables = unpack_tables(data)
    counts = tables["seen"].counts.copy()
    counts[0] = 1500
    return pack_tables(tables | {"seen": Table(tables["seen"].keys, counts)})


def every_key(data):
    keys = np.arange(5000, dtype=np.uint32)
    return pack_tables({"seen": Table(keys, np.zeros((5000, toy_rare.PERIODS), np.uint32))})


WRONG = {
    "damaged": (lambda data: damaged(data, np.random.default_rng(0)), "damaged on the way"),
    "resealed": (lambda data: sealed(data[:-9]), ""),
    "other periods": (other_periods, "its table 'seen' has 2 periods, the others' 3"),
    "all of 32 bits": (boasting, "beyond 32 bits"),
    "all times 1000": (inflated, "counts at one key, more than 10 times the median client's"),
    "much at one key": (one_key, "counts at one key, more than 10 times the median client's"),
    "every key there is": (every_key, "5000 keys, more than 10 times the median client's"),
}


@pytest.mark.parametrize("who", [0, 2])
@pytest.mark.parametrize("kind", WRONG)
def test_wrong_tables_cost_their_sender_only(kind, who, tmp_path):
    change, words = WRONG[kind]
    shared = Shared(tmp_path, changing(change, (who,)))
    check(shared, [number for number in range(CLIENTS) if number != who])
    (warning,) = shared.warnings
    assert warning.startswith(f"counters: node {1000 + who}: ") and words in warning
    assert "\n" not in warning
    assert json.loads((shared.run.path / "counters.json").read_text())["clients"] == CLIENTS - 1


def test_whose_count_is_largest_is_named_for_a_sum_beyond_32_bits():
    """Large counts alone are nobody's fault, as long as their sums have room."""
    large = np.array([[2**30, 2**30]], np.uint32)
    honest = {node: {"seen": Table(np.array([7], np.uint32), large)} for node in range(3)}
    liar = {"seen": Table(np.array([7], np.uint32), np.array([[2**31, 5]], np.uint32))}
    assert overflowing(honest) == {}
    assert overflowing(honest | {9: liar}) == {
        9: "its count of 2147483648 brings a sum in the table 'seen' beyond 32 bits"
    }


def tables_of(*rows):
    """Return the tables of clients that all have the same keys, by node."""
    keys = np.arange(len(rows[0]), dtype=np.uint32)
    return {
        node: {"seen": Table(keys, np.array(row, np.uint32)[:, None])}
        for node, row in enumerate(rows)
    }


def seen_by(scale, seed):
    """Return counts at 8 bad places of 60, of a client of this size."""
    rate = np.where(np.arange(60) < 8, 2.9, 0.5) * scale
    return np.random.default_rng(seed).poisson(rate)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "lie", [lambda one: 9 * one[::-1], lambda one: one + 4 * (np.arange(60) >= 8)]
)
def test_counts_made_up_where_nobody_has_any_are_left_out(lie, seed):
    honest = [seen_by(1, (seed, number)) for number in range(5)]
    assert list(made_up(tables_of(*honest[:4], lie(honest[4])), 3)) == [4]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scale", [0.1, 1, 6, 9])
def test_a_small_or_large_client_is_not_taken_for_a_liar(scale, seed):
    honest = [seen_by(1, (seed, number)) for number in range(4)]
    assert made_up(tables_of(*honest, seen_by(scale, (seed, 4))), 3) == {}


def test_a_liar_gets_nobody_else_accused():
    honest = [seen_by(1, number) for number in range(4)]
    for lie in (np.zeros(60, int), 50 * seen_by(1, 9), np.full(60, 1000)):
        assert set(made_up(tables_of(*honest, lie), 3)) <= {4}


def test_counts_of_its_own_at_keys_that_few_have_are_nobodys_business():
    """They are in no sum that is handed back."""
    alone = {9: {"seen": Table(np.arange(100, 140, dtype=np.uint32), np.full((40, 1), 5, "u4"))}}
    others = tables_of(*[seen_by(1, number) for number in range(4)])
    assert made_up(others | alone, 3) == {}


def own(message, context):
    """Client 3's own settings say that it shares nothing."""
    if context.node_config["partition-id"] == 3:
        config = {**context.run_config, "counters": "own"}
        context = dataclasses.replace(context, run_config=config)
    return client_app(message, context)


def test_a_client_that_shares_nothing_is_left_out_and_named(tmp_path):
    shared = Shared(tmp_path, own)
    check(shared, range(3))
    assert shared.warnings == [
        "counters: node 1003: this device shares no counters: its setting counters is own"
    ]


def test_a_client_that_is_gone_is_named(tmp_path):
    def gone(message, context):
        if context.node_config["partition-id"] == 3:
            return Message(Error(ErrorCode.NODE_UNAVAILABLE, "gone"), reply_to=message)
        return client_app(message, context)

    shared = Shared(tmp_path, gone)
    check(shared, range(3))
    assert len(shared.warnings) == 1 and "node 1003" in shared.warnings[0]


def test_nobody_giving_any_stops_the_run(tmp_path):
    with pytest.raises(FederationError, match=r"none of 4 clients gave tables.*damaged") as error:
        Shared(tmp_path, changing(lambda data: data[:-1], range(CLIENTS)))
    assert "\n" not in str(error.value)


def test_a_task_without_counters_says_what_to_do(tmp_path):
    with pytest.raises(TaskError, match=r"has no counters to share; set counters = \"own\""):
        Shared(tmp_path, task="task")
    with pytest.raises(TaskError, match=r"counters\(0, 4\) raised ValueError: no places of 0"):
        Shared(tmp_path, task="broken")


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """Trees of rows that are made with the sums."""
    folder = tmp_path_factory.mktemp("grown")
    settings = settings_of("bagging", task="counting", counters="shared", counters_at_least=1)
    return run_of(folder, settings)


def test_trees_are_grown_on_rows_that_are_made_with_the_sums(grown):
    assert [row.phase for row in grown.rounds] == ["counters", "bins", "train", "train"]
    bins, _ = model_of(grown)
    total = total_of(range(CLIENTS))
    assert bins.edges[-1].tolist() == between(
        total[toy_rare.counted(number)[0]].sum() for number in range(CLIENTS)
    )
    assert {record.client for record in grown.energy} == {SERVER, "0", "1", "2", "3"}
    summary = grown.read_json("summary.json")
    assert summary["uplink_bytes"] == sum(row.uplink_bytes for row in grown.rounds)


def test_own_counters_are_of_no_other_client(tmp_path):
    run = run_of(tmp_path, settings_of("bagging", task="counting"))
    assert [row.phase for row in run.rounds] == ["bins", "train", "train"]
    assert not (run.path / "counters.json").exists()
    bins, _ = model_of(run)
    assert bins.edges[-1].tolist() == between(
        toy_rare.counted(number)[1].sum() for number in range(CLIENTS)
    )


def between(values):
    """Return the edges that keep some values of a feature apart."""
    order = sorted(set(map(float, values)))
    return [(low + high) / 2 for low, high in pairwise(order)]


def test_who_has_lost_the_sums_takes_no_part_in_the_run(tmp_path):
    """Its features would be made otherwise than everybody else's."""
    run = run_of(tmp_path, settings_of("bagging", task="counting", counters="shared"), losing)
    lines = [line for line in said(run).splitlines() if "client 3" in line]
    assert len(lines) == 3  # bins and two rounds
    assert all("has not got the sums of the counters" in line for line in lines)
    assert [row.updates for row in run.rounds if row.phase == "train"] == [3, 3]


def losing(message, context):
    """Client 3 loses the sums as soon as it has them."""
    from pathlib import Path

    reply = client_app(message, context)
    if message.metadata.message_type == wire.COUNTERS and context.node_config["partition-id"] == 3:
        (Path(context.node_config["state-dir"]) / "totals.bin").unlink(missing_ok=True)
        forget_devices()
    return reply


@pytest.mark.parametrize("kind", [wire.TRAIN, wire.TREES])
@pytest.mark.parametrize(
    ("left", "says"),
    [
        (None, "has not got the sums of the counters"),
        (b"another\n", "has not got the sums of the counters"),
        (b"run\njunk", "the sums of the counters on this device are damaged"),
    ],
)
def test_a_device_without_the_sums_refuses_in_one_line(kind, left, says, tmp_path):
    settings = settings_of("bagging", task="counting", counters="shared")
    with devices():
        grid = InProcessGrid(client_app, CLIENTS, settings.as_config(), tmp_path)
        folder = tmp_path / "client-0"
        folder.mkdir()
        if left is not None:
            (folder / "totals.bin").write_bytes(left)
        content = {
            wire.TRAIN: wire.pack_request(wire.TrainRequest("run", 1, -1, 0, (0,), b"", "raw")),
            wire.TREES: wire.pack_trees_request(wire.TreesRequest("run", 1, -1, 0, b"", SKETCH)),
        }
        message = Message(content[kind], dst_node_id=1000, message_type=kind, group_id="1")
        (reply,) = grid.send_and_receive([message])
    assert reply.has_error()
    assert says in reply.error.reason
    assert "\n" not in reply.error.reason
