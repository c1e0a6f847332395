"""Trees over Flower, each way to its end: what they learn, what they leave, who may fail."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import toy_rare
from flwr.app import ArrayRecord, ConfigRecord, Error, Message
from flwr.common.constant import ErrorCode
from logged import Lines

from frugalfl.energy import SERVER
from frugalfl.errors import FederationError, FrugalFLError, TaskError
from frugalfl.metrics import two_class_average_precision
from frugalfl.trees import agree, sketch
from frugalfl.trees.parcel import Parcel
from frugalfl.trees.ways import parse_way
from frugalfl_client import kept_file
from frugalfl_client.app import app as client_app
from frugalfl_client.device import forget_devices
from frugalfl_client.store import Store
from frugalfl_server.report import write_report
from frugalfl_server.report.final_outcomes import read_outcomes
from frugalfl_server.report.terminal import print_summary
from frugalfl_server.run.open_run import open_run
from frugalfl_server.run.summary import of_run
from frugalfl_server.trees.bagging import Bagging
from frugalfl_server.trees.exchanges import Exchanges
from frugalfl_server.trees.grown import Grown
from frugalfl_server.trees.guard import Guard
from frugalfl_server.trees.strategy import TreeStrategy
from frugalfl_sim.engine.grid import InProcessGrid

from .tree_runs import CLIENTS, WAYS, devices, model_of, run_of, said, scores_of, settings_of

lightgbm = pytest.importorskip("lightgbm")

TEST = toy_rare.held_back().test
GONE = "gone"
PARALLEL = ("bagging", "refit")


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """Each way's run, made when it is first asked for."""
    made = {}

    def run(way):
        if way not in made:
            made[way] = run_of(tmp_path_factory.mktemp(way), settings_of(way))
        return made[way]

    return run


def bytes_of(run):
    return (run.path / "model" / "trees.bin").read_bytes()


def precision(run):
    outputs = np.stack([np.zeros(len(TEST)), scores_of(run, TEST.x)], axis=1)
    return two_class_average_precision(outputs, TEST.y)


class Clients:
    """A client app that does something else for some clients at some of their exchanges.

    ``change(number, exchange, answer)``, with exchanges counted from 0, the one about bins, returns
    the answer, or something in its place; ``before`` is called ahead of it.
    """

    def __init__(self, change=lambda *_: None, before=lambda *_: None):
        self.change, self.before = change, before
        self.exchanges = {}

    def __call__(self, message, context):
        number = context.node_config["partition-id"]
        exchange = self.exchanges[number] = self.exchanges.get(number, -1) + 1
        self.before(number, exchange, context)
        reply = client_app(message, context)
        changed = self.change(number, exchange, reply)
        if isinstance(changed, str):
            code = ErrorCode.NODE_UNAVAILABLE if changed == GONE else 2
            return Message(Error(code, changed), reply_to=message)
        return changed or reply


@pytest.mark.parametrize("way", WAYS)
def test_it_learns_and_leaves_a_model_that_lightgbm_reads(honest, way):
    run = honest(way)
    assert precision(run) > toy_rare.RATE + 0.25
    rounds = [row for row in run.rounds if row.phase == "train"]
    assert rounds[-1].metrics["average_precision"] == pytest.approx(precision(run), abs=1e-6)
    assert rounds[-1].loss < next(row.loss for row in run.rounds if row.phase == "bins")
    text = (run.path / "model" / "trees.txt").read_text()
    theirs = lightgbm.Booster(model_str=text).predict(TEST.x.astype(np.float64), raw_score=True)
    np.testing.assert_allclose(theirs, scores_of(run, TEST.x), atol=1e-5)
    said = np.array(read_outcomes(run).matrices["float"])
    assert said.sum(axis=1).tolist() == np.bincount(TEST.y).tolist()
    assert said.trace() / said.sum() == pytest.approx(rounds[-1].accuracy)


@pytest.mark.parametrize("way", WAYS)
def test_its_tables_say_what_travelled(honest, way):
    run = honest(way)
    settings = settings_of(way)
    bins, *rounds = run.rounds
    assert (
        bins.phase == "bins" and bins.round == 0 and bins.clients == CLIENTS and bins.updates == 0
    )
    number = 6 if way == "histogram" else settings.rounds.count
    assert [(row.phase, row.round) for row in rounds] == [
        ("train", one) for one in range(1, number + 1)
    ]
    asked = 1 if way == "cyclic" else CLIENTS
    assert {row.updates for row in rounds} == {row.clients for row in rounds} == {asked}
    assert all(row.uplink_bytes > 0 for row in run.rounds)
    assert all(row.downlink_bytes > 0 for row in rounds)
    about = json.loads((run.path / "model" / "trees.json").read_text())
    _, forest = model_of(run)
    assert about["trees"] == len(forest) == {"bagging": 32, "cyclic": 16, "refit": 32}.get(way, 6)
    assert about["bytes"] == len(bytes_of(run))
    assert about["exchanges"] >= number * (2 if way == "refit" else 1)
    summary = run.read_json("summary.json")
    assert summary["status"] == "finished"
    assert summary["uplink_bytes"] == sum(row.uplink_bytes for row in run.rounds)
    assert {record.phase for record in run.energy if record.client != SERVER} >= {
        "prepare",
        "train",
    }


@pytest.mark.parametrize("way", WAYS)
def test_the_same_seed_gives_the_same_bytes_though_clients_lose_their_memory(honest, way, tmp_path):
    """And each of them is sent each tree once, as its disk remembers the others."""
    again = run_of(tmp_path, settings_of(way), Clients(before=lambda *_: forget_devices()))
    assert bytes_of(again) == bytes_of(honest(way))
    assert "holds version" not in said(again)
    if way != "histogram":
        ours, theirs = (
            sum(row.downlink_bytes for row in run.rounds) for run in (again, honest(way))
        )
        assert ours == theirs


def test_its_summary_names_the_file_of_the_trees(honest, capsys):
    run = honest("refit")
    print_summary(run)
    said = " ".join(capsys.readouterr().out.split())
    assert str(run.path / "model" / "trees.bin") in said
    assert "32 trees; in model/trees.bin and, for LightGBM, model/trees.txt" in said
    assert "Nothing was exported" not in said and "float32 size" not in said
    write_report(run)
    page = (run.path / "report.html").read_text()
    assert "32 trees with" in page and "Nothing was exported" not in page


def test_a_client_that_kept_trees_in_a_file_of_their_own_goes_on_with_them(honest, tmp_path):
    """As before there was a place for them in its store; the file is gone then."""

    def downgrade(number, exchange, context):
        if (number, exchange) != (2, 2):
            return
        folder = Path(context.node_config["state-dir"])
        (run,) = (tmp_path / "latest").resolve().parent.glob("2*")
        bins, *segments = Store(folder / "store.sqlite").load(run.name).trees
        kept_file.keep(folder / "trees.bin", run.name, Parcel(bins, segments).pack(), "trees")
        for file in folder.glob("store.sqlite*"):
            file.unlink()
        forget_devices()

    run = run_of(tmp_path, settings_of("bagging"), Clients(before=downgrade))
    assert bytes_of(run) == bytes_of(honest("bagging"))
    assert "holds version" not in said(run)
    assert not (run.path / "devices" / "client-2" / "trees.bin").exists()


@pytest.mark.parametrize("way", PARALLEL)
def test_a_client_that_lost_its_disk_is_sent_everything_and_contributes_again(way, tmp_path):
    def lose(number, exchange, context):
        if number == 2 and exchange == (3 if way == "refit" else 2):
            shutil.rmtree(context.node_config["state-dir"])
            forget_devices()

    clients = Clients(before=lose)
    run = run_of(tmp_path, settings_of(way, rounds=4), clients)
    about = [line for line in said(run).splitlines() if "client 2" in line]
    (ledger,) = [line for line in about if "its energy ledger does not go on" in line]
    complaints = [line for line in about if line != ledger]
    assert len(complaints) == 1
    assert "holds version -1; the next round brings what it lacks" in complaints[0]
    assert [row.updates for row in run.rounds if row.phase == "train"].count(CLIENTS) >= 3
    assert run.rounds[-1].updates == CLIENTS
    assert precision(run) > toy_rare.RATE + 0.25


def test_a_client_that_lost_its_disk_is_sent_all_of_the_trees_that_histograms_are_of(
    honest, tmp_path
):
    def lose(number, exchange, context):
        if number == 2 and exchange == 9:
            shutil.rmtree(context.node_config["state-dir"])
            forget_devices()

    run = run_of(tmp_path, settings_of("histogram"), Clients(before=lose))
    assert "client 2: it holds version -1" in said(run)
    assert run.rounds[-1].updates == CLIENTS
    assert precision(run) > toy_rare.RATE + 0.25


def damage(number, exchange, reply):
    """Client 1 sends damaged frames after the bins."""
    if number == 1 and exchange:
        frames = reply.content["arrays"]["frames"]
        frames.data = frames.data[:-1] + bytes([frames.data[-1] ^ 1])
    return reply


def fail(number, exchange, reply):
    return "no battery" if number == 1 and exchange else reply


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    """The same run where client 1 has nothing to say after the bins."""
    made = {}

    def run(way):
        if way not in made:
            made[way] = run_of(tmp_path_factory.mktemp(way), settings_of(way), Clients(fail))
        return made[way]

    return run


@pytest.mark.parametrize("way", PARALLEL)
def test_a_client_that_fails_costs_its_own_trees_and_is_named(without, way):
    run = without(way)
    assert [row.updates for row in run.rounds] == [0] + [CLIENTS - 1] * 2
    _, forest = model_of(run)
    assert len(forest) == 4 * 2 * (CLIENTS - 1)
    complaints = [line for line in said(run).splitlines() if "no battery" in line]
    assert len(complaints) == (4 if way == "refit" else 2)
    assert all("client 1" in line for line in complaints)
    assert precision(run) > toy_rare.RATE + 0.25


@pytest.mark.parametrize("way", PARALLEL)
def test_a_client_that_sends_damaged_frames_is_no_worse(without, way, tmp_path):
    run = run_of(tmp_path, settings_of(way), Clients(damage))
    assert bytes_of(run) == bytes_of(without(way))
    assert "node 1001" in said(run) and "damaged on the way" in said(run)
    # What it sent and was sent is somebody's all the same.
    about = of_run(run, "finished", None)
    clients = open_run(run.path).clients.to_pylist()
    assert [one["client"] for one in clients] == list(map(str, range(CLIENTS)))
    for name in ("uplink_bytes", "downlink_bytes"):
        assert sum(one[name] for one in clients) == about[name]


@pytest.mark.parametrize("change", [damage, fail])
def test_histograms_go_on_without_a_client_that_fails(honest, change, tmp_path):
    """The tree is begun again: a sibling's sums are a difference, so all are of the same rows."""

    def later(number, exchange, reply):
        return change(number, max(exchange - 4, 0), reply)

    run = run_of(tmp_path, settings_of("histogram"), Clients(later))
    assert len(model_of(run)[1]) == 6
    assert "node 1001" in said(run)
    assert precision(run) > toy_rare.RATE + 0.25
    assert bytes_of(run) != bytes_of(honest("histogram"))


def test_a_turn_that_fails_is_the_next_ones(tmp_path):
    run = run_of(tmp_path, settings_of("cyclic"), Clients(fail))
    assert "node 1001" in said(run) and "no battery" in said(run)
    assert len(model_of(run)[1]) == 4 * 4


def test_a_client_that_is_gone_is_named_too(tmp_path):
    def gone(number, exchange, reply):
        if number == 1 and exchange != 1:
            return GONE
        return reply

    run = run_of(tmp_path, settings_of("bagging"), Clients(gone))
    named = [line for line in said(run).splitlines() if "client 1" in line]
    assert [line.removeprefix("warning: ") for line in named] == [
        "bins: client 1 (node 1001): no answer",
        "round 2: client 1: no answer",
    ]
    assert [row.updates for row in run.rounds] == [0, CLIENTS, CLIENTS - 1]


@pytest.mark.parametrize("way", ["bagging", "cyclic"])
def test_everybody_failing_stops_the_run_in_one_line(way, tmp_path):
    def all_fail(number, exchange, reply):
        return "no battery" if exchange else reply

    with pytest.raises(FederationError) as error:
        run_of(tmp_path, settings_of(way), Clients(all_fail))
    assert str(error.value) == (
        "round 1: none of 4 clients contributed; round 1: node 1000: no battery"
        if way == "bagging"
        else "round 4: none of 1 clients contributed; round 4: node 1003: no battery"
    )


@pytest.mark.parametrize("way", WAYS)
def test_clients_with_one_class_only(way, tmp_path):
    """They can grow no trees of their own; their rows count in bins, base and sums all the same."""
    run = run_of(tmp_path, settings_of(way, task="lopsided"))
    assert [row.updates for row in run.rounds][-1] == (1 if way == "cyclic" else CLIENTS)
    assert precision(run) > toy_rare.RATE + (0.2 if way == "histogram" else 0.1)


def test_rows_of_one_class_everywhere_are_an_error(tmp_path):
    with pytest.raises(FederationError) as error:
        run_of(tmp_path, settings_of("bagging", task="nobody"))
    assert str(error.value) == (
        "bins: 0 of the 960 training rows of all clients are of class 1; trees need rows of both "
        "classes"
    )


@pytest.mark.parametrize("task", ["many", "liars"])
def test_a_task_of_other_classes_is_refused_in_one_line(task, tmp_path):
    with pytest.raises((TaskError, FederationError), match="trees need targets 0 and 1") as error:
        run_of(tmp_path, settings_of("bagging", task=task))
    assert "\n" not in str(error.value)


def test_a_client_with_other_features_is_left_out_and_named(tmp_path):
    run = run_of(tmp_path, settings_of("bagging", task="wider"))
    assert "bins: client 1 (node 1001): its rows have" in said(run) and "7 features" in said(run)
    assert [row.updates for row in run.rounds] == [0] + [CLIENTS - 1] * 2
    assert precision(run) > toy_rare.RATE + 0.25


@pytest.mark.parametrize("way", WAYS)
def test_mutated_answers_cost_their_sender_only(way, tmp_path):
    """Whatever two clients send in place of sound frames, the others' run goes on."""
    from mutations import damaged

    rng = np.random.default_rng(3)

    def mutate(number, exchange, reply):
        if number < 2 and exchange:
            frames = reply.content["arrays"]["frames"]
            frames.data = damaged(frames.data, rng)
        return reply

    run = run_of(tmp_path, settings_of(way), Clients(mutate))
    assert precision(run) > toy_rare.RATE + 0.1


def test_wrong_counts_of_a_client_are_refused(tmp_path):
    def boast(number, exchange, reply):
        if number == 1 and exchange:
            reply.content["metrics"]["num-examples"] = 1 << 40
        if number == 2 and exchange:
            reply.content["metrics"]["train-loss"] = float("nan")
        return reply

    try:
        run = run_of(tmp_path, settings_of("bagging"), Clients(boast))
    except FrugalFLError as error:
        raise AssertionError("they cost their own contribution only") from error
    assert [row.updates for row in run.rounds] == [0] + [CLIENTS - 2] * 2


def test_an_answer_counts_once_and_only_in_its_own_round(tmp_path):
    way = parse_way(WAYS["bagging"]["trees"])
    parts = [toy_rare.rows(number) for number in range(CLIENTS)]
    grown = Grown(agree([sketch(part.x) for part in parts], 16), -2.0)
    guard = Guard()
    bagging = Bagging(grown, way, guard)
    strategy = TreeStrategy(bagging, grown, Exchanges(bagging, grown, way, "run", guard), guard)
    settings = settings_of("bagging")
    with devices(), Lines() as complaints:
        grid = InProcessGrid(client_app, CLIENTS, settings.as_config(), tmp_path)

        def replies(number):
            asked = strategy.configure_train(number, ArrayRecord(), ConfigRecord(), grid)
            return list(grid.send_and_receive(asked))

        late, *others = replies(1)
        strategy.aggregate_train(1, [*others, *others[:2]])
        assert strategy.cost.updates == len(others) == CLIENTS - 1
        assert len(grown.forest) == 4 * len(others)
        assert sum("no answer of it is awaited for round 1" in line for line in complaints) == 2
        assert sum("node 1000: no answer" in line for line in complaints) == 1
        complaints.clear()
        strategy.aggregate_train(2, [*replies(2), late])
        assert strategy.cost.updates == CLIENTS
        assert complaints == [
            "round 2: node 1000: its answer of round 1 came too late",
        ]
        # What a late answer cost is counted all the same.
        assert {record.round for record in strategy.cost.energy} == {1, 2}
