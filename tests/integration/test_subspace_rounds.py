"""Rounds in a subspace: how long steps are, and what comes too late for its coordinates."""

import copy
import gc
from collections import Counter

import numpy as np
import pytest
from flwr.serverapp.strategy import FedAvg

from frugalfl import subspace
from frugalfl.errors import UsageError
from frugalfl.settings import Settings
from frugalfl_client.app import app as client_app
from frugalfl_server.rounds.flower_strategies import strategy_of
from frugalfl_server.rounds.parts import Parts
from frugalfl_server.rounds.strategy_state import begin_anew, begin_of
from frugalfl_server.rounds.ways_down import way_down

from .rounds import Rounds, digits

ONE_STEP = Settings.of(
    clients=2, clients_per_round=2, local_epochs=1, batch_size=2048, refresh="subspace(64)",
    uplink="raw", learning_rate=0.002, final_learning_rate=0.002, prune=0.0,
)  # fmt: skip


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_a_step_of_adam_moves_weights_as_far_in_a_subspace_as_it_is_set(name, tmp_path):
    decay = {"weight_decay": 0.001} if name == "adamw" else {}
    with digits():
        rounds = Rounds(ONE_STEP.changed(optimizer=name, **decay), tmp_path)
        rounds.next()
        after = rounds.downlink.whole(rounds.model)
        far = max(np.abs(after[n] - rounds.downlink.base[n]).max() for n in after)
    assert far == pytest.approx(0.002, rel=0.02)  # in the first step all gradients count alike


@pytest.mark.parametrize("name", ["fedadam", "fedadagrad"])
def test_an_adaptive_strategy_moves_weights_as_far_in_a_subspace_as_without(name, tmp_path):
    far = {}  # after a step so long that the strategy's own length alone counts
    for refresh in ("full", "subspace(64)"):
        settings = ONE_STEP.changed(refresh=refresh, learning_rate=200.0, strategy=f"{name}(0.01)")
        with digits():
            rounds = Rounds(settings, tmp_path / refresh, inner=strategy_of(settings))
            rounds.next()
            after = rounds.downlink.whole(rounds.model)
        steps = np.concatenate([(after[n] - rounds.start[n]).ravel() for n in after])
        far[refresh] = np.sqrt(np.mean(np.square(steps, dtype=np.float64)))
    # Entries without a gradient stay in full training, and move with the others in a subspace.
    assert 1 / 3 < far["subspace(64)"] / far["full"] < 3


def test_a_device_draws_signs_once_a_round_and_keeps_none(monkeypatch, tmp_path):
    """Other draws are of the server, which expands coordinates to measure them."""
    drawn, at_work, mix = Counter(), [], subspace.mix

    def counting(seed, count, first=0):
        drawn[count] += bool(at_work)
        return mix(seed, count, first)

    def client(message, context):
        at_work.append(message)
        reply = client_app(message, context)
        at_work.clear()
        return reply

    monkeypatch.setattr(subspace, "mix", counting)
    with digits():
        rounds = Rounds(ONE_STEP, tmp_path, client=client)
        for _ in range(3):
            drawn.clear()
            rounds.next()
        sizes = Counter(rounds.downlink.base[name].size for name, _ in rounds.downlink.coordinates)
    clients = ONE_STEP.simulation.clients
    assert {size: drawn[size] for size in sizes} == {size: clients * sizes[size] for size in sizes}
    kept = [one for one in gc.get_objects() if type(one) is subspace.Subspace and one.kept]
    assert not kept


def test_a_fold_before_a_round_without_a_quorum_leaves_the_model_as_it_was(tmp_path):
    settings = Settings.of(
        clients=2, clients_per_round=2, local_epochs=1, refresh="subspace(32, fold 1)", prune=0.0,
        quorum=2.0,
    )  # fmt: skip
    with digits():
        rounds = Rounds(settings, tmp_path)
        rounds.next()
        assert any(tensor.any() for tensor in rounds.model.values())
        rounds.next(only=[0])
        after, folded = rounds.downlink.whole(rounds.model), rounds.downlink.base
    assert rounds.updates == [2, 0]
    assert all(np.array_equal(after[name], folded[name]) for name in folded)


class Late:
    """A grid on which the answer of one node in the first round comes in each later one."""

    def __init__(self, grid):
        self.grid, self.kept = grid, None

    def __getattr__(self, name):
        return getattr(self.grid, name)

    def send_and_receive(self, messages, **about):
        *others, last = sorted(
            self.grid.send_and_receive(messages, **about), key=lambda one: one.metadata.src_node_id
        )
        self.kept = self.kept or copy.deepcopy(last)  # what is opened is emptied
        return [*others, copy.deepcopy(self.kept)]


def test_an_update_of_a_folded_subspace_costs_itself_and_one_line(tmp_path):
    settings = Settings.of(
        clients=3, clients_per_round=3, local_epochs=1, refresh="subspace(32, fold 1)", prune=0.0
    )
    with digits():
        rounds = Rounds(settings, tmp_path, inner=strategy_of(settings))
        rounds.grid = Late(rounds.grid)
        for _ in range(3):
            rounds.next()
    assert rounds.updates == [3, 2, 2]
    assert all(np.isfinite(tensor).all() for tensor in rounds.model.values())
    assert len(rounds.warnings) == 2
    assert all("folded since" in line for line in rounds.warnings), rounds.warnings


def test_a_strategy_that_cannot_begin_anew_at_a_fold_is_refused_in_one_line() -> None:
    class Remembers(FedAvg):
        def __init__(self) -> None:
            super().__init__()
            self.seen = {1, 2}

    settings = Settings.of(refresh="subspace(8)")
    downlink = way_down({"0.weight": np.ones((4, 4), np.float32)}, settings)
    with pytest.raises(UsageError, match="Remembers.seen is a set.*refresh = full"):
        Parts.of(settings, Remembers(), downlink, "run")


def test_at_a_fold_a_strategy_forgets_what_it_has_set_since_its_first_round() -> None:
    class Late(FedAvg):
        m = None

    strategy = Late()
    begin = begin_of(strategy)
    strategy.m, strategy.min_train_nodes = [1.0], 7
    begin_anew(strategy, begin)
    assert strategy.m is None and strategy.min_train_nodes == FedAvg().min_train_nodes
