"""A strategy of one's own: by the task's hook, and wrapped for a ServerApp of one's own."""

import random
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from flwr.serverapp.strategy import FedAdam, FedAvg, FedMedian

from frugalfl.errors import FederationError, TaskError, UsageError
from frugalfl.modules import read_parameters
from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl_client.app import app as client_app
from frugalfl_client.device import forget_devices
from frugalfl_server.phases.check_task import check_task
from frugalfl_server.phases.federation import Federation
from frugalfl_server.phases.initial_model import initial_model
from frugalfl_server.phases.train import train
from frugalfl_server.rounds.flower_arrays import pack, unpack
from frugalfl_server.rounds.flower_strategies import strategy_of
from frugalfl_server.rounds.strategy import FrugalStrategy
from frugalfl_server.run.directory import RunDirectory
from frugalfl_sim.engine.grid import InProcessGrid

from .rounds import digits

SETTINGS = Settings.of(
    clients=6, clients_per_round=4, rounds=2, local_epochs=1, prune=0.0, recover_rounds=0
)


class HalfSteps(FedAvg):
    """The mean, of which the model goes half the way; shown whom it asks."""

    only_mean = True
    asked = ()

    def configure_train(self, server_round, arrays, config, grid):
        HalfSteps.asked = tuple(grid.get_node_ids())
        self.before = unpack(arrays)
        return super().configure_train(server_round, arrays, config, grid)

    def aggregate_train(self, server_round, replies):
        arrays, metrics = super().aggregate_train(server_round, replies)
        for name, mean in unpack(arrays).items():
            arrays[name] = pack({name: (self.before[name] + mean) / 2})[name]
        return arrays, metrics


@pytest.fixture
def task():
    with digits():
        yield load_task("task:task")
    forget_devices()


def trained(task, settings, folder):
    run = RunDirectory.create(folder, task.name, settings, app=None)
    grid = InProcessGrid(
        client_app, settings.simulation.clients, settings.as_config(), folder / "devices"
    )
    module = train(Federation(grid, settings, task, run, quiet=True))
    return run, read_parameters(module)


def moved(start, end):
    return np.sqrt(sum(float(np.square(end[n] - start[n]).sum()) for n in start))


def test_the_hook_of_a_task_makes_the_steps(task, tmp_path):
    one_round = SETTINGS.changed(rounds=1, uplink="raw", downlink="raw")
    start = read_parameters(initial_model(task, one_round))
    run, whole = trained(task, one_round, tmp_path / "whole")
    own = replace(task, strategy=lambda settings: HalfSteps(fraction_evaluate=0.0))
    same, half = trained(own, one_round, tmp_path / "half")
    assert moved(start, half) == pytest.approx(moved(start, whole) / 2, rel=1e-4)
    # It was shown exactly the clients of the round, and these alone were asked.
    assert len(HalfSteps.asked) == SETTINGS.rounds.clients_per_round == same.rounds[0].clients
    assert same.rounds[0].uplink_bytes == run.rounds[0].uplink_bytes


def test_the_hook_is_checked(task):
    with pytest.raises(UsageError, match="fedadam.*strategy of its own; leave one of the two out"):
        own = replace(task, strategy=lambda settings: FedAvg())
        strategy_of(SETTINGS.changed(strategy="fedadam(0.1)"), own)
    with pytest.raises(TaskError, match="gives a str, not a strategy of flwr.serverapp"):
        strategy_of(SETTINGS, replace(task, strategy=lambda settings: "fedavg"))
    with pytest.raises(TaskError, match=r"strategy\(\) raised ZeroDivisionError"):
        strategy_of(SETTINGS, replace(task, strategy=lambda settings: 1 / 0))


def test_a_wrapped_strategy_is_one_of_flowers(task, tmp_path):
    strategy = FrugalStrategy.wrap(FedAdam(eta=0.01, fraction_evaluate=0.0), SETTINGS)
    with pytest.raises(FederationError, match="no round has begun"):
        _ = strategy.traffic
    start = read_parameters(initial_model(task, SETTINGS))
    grid = InProcessGrid(client_app, SETTINGS.simulation.clients, SETTINGS.as_config(), tmp_path)
    result = strategy.start(grid, pack(start), num_rounds=2)
    assert moved(start, unpack(result.arrays)) > 0
    assert strategy.traffic.updates == strategy.traffic.clients == SETTINGS.rounds.clients_per_round
    whole_b = sum(tensor.nbytes for tensor in start.values())
    assert 0 < strategy.traffic.uplink_bytes < whole_b  # of four clients together


def test_a_wrapped_strategy_trains_in_a_subspace_to_the_same_bits_as_our_own_app(task, tmp_path):
    settings = SETTINGS.changed(
        refresh="subspace(64, fold 1)", strategy="fedavgm(0.5)", rounds=3, initial="exact"
    )
    _, own = trained(task, settings, tmp_path / "own")
    strategy, seen = FrugalStrategy.wrap(strategy_of(settings), settings), []
    start = read_parameters(initial_model(task, settings))
    grid = InProcessGrid(
        client_app, settings.simulation.clients, settings.as_config(), tmp_path / "wrapped"
    )
    random.seed(settings.run.seed)
    result = strategy.start(
        grid, pack(start), num_rounds=3,
        evaluate_fn=lambda number, arrays: seen.append(unpack(arrays)),
    )  # fmt: skip
    model = unpack(result.arrays)
    assert model.keys() == own.keys()
    assert all(np.array_equal(model[name], own[name]) for name in own)
    assert [moved(start, one) > 0 for one in seen] == [False, *[True] * 3]
    assert strategy.traffic.uplink_bytes < 4 * 200


def test_a_wrapped_strategy_that_cannot_begin_anew_is_refused_before_its_first_round(task):
    inner = FedAvg()
    inner.seen = {1, 2}
    with pytest.raises(UsageError, match="FedAvg.seen is a set"):
        FrugalStrategy.wrap(inner, SETTINGS.changed(refresh="subspace(64)"))


class Around(FedAvg):
    def __init__(self, inside):
        super().__init__(fraction_evaluate=0.0)
        self.inside = inside


@pytest.mark.parametrize("inside", [FedAdam(), Around(FedAdam())])
def test_an_adaptive_strategy_within_another_is_refused_by_name_in_a_subspace(task, inside):
    settings = SETTINGS.changed(refresh="subspace(64)")
    words = r"Around.inside is a FedAdam, .*take FedAdam without.*or set refresh = full"
    with pytest.raises(UsageError, match=words):
        FrugalStrategy.wrap(Around(inside), settings)
    with pytest.raises(UsageError, match=words):
        check_task(replace(task, strategy=lambda _: Around(inside)), settings)
    assert FrugalStrategy.wrap(Around(FedAvg()), settings)
    assert FrugalStrategy.wrap(Around(inside), SETTINGS)


def test_a_strategys_module_is_no_function_that_remembers_nothing(task):
    inner = FedAvg()
    inner.weigh = torch.nn.Linear(2, 1)
    with pytest.raises(UsageError, match="FedAvg.weigh is a Linear.*set refresh = full"):
        FrugalStrategy.wrap(inner, SETTINGS.changed(refresh="subspace(64)"))
    inner.weigh = partial(np.add, 1)
    assert FrugalStrategy.wrap(inner, SETTINGS.changed(refresh="subspace(64)"))


def test_a_strategy_that_would_wait_for_more_says_so(task, tmp_path):
    inner = FedAvg(min_train_nodes=5, min_available_nodes=5, fraction_evaluate=0.0)
    strategy = FrugalStrategy.wrap(inner, SETTINGS)
    start = read_parameters(initial_model(task, SETTINGS))
    grid = InProcessGrid(client_app, SETTINGS.simulation.clients, SETTINGS.as_config(), tmp_path)
    with pytest.raises(FederationError, match="4 clients can be asked, and FedAvg waits for 5"):
        strategy.start(grid, pack(start), num_rounds=1)


class Odd(FedAvg):
    def __init__(self, result):
        super().__init__(fraction_evaluate=0.0)
        self.result = result

    def aggregate_train(self, server_round, replies):
        return self.result(super().aggregate_train(server_round, replies))


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (lambda found: None, "it returned NoneType"),
        (lambda found: (unpack(found[0]), found[1]), "its model is of type dict"),
        (lambda found: 1 / 0, "ZeroDivisionError"),
        (lambda found: (pack({"other": np.ones(3, np.float32)}), found[1]), "its model has"),
    ],
)
def test_what_goes_wrong_in_it_is_one_line_that_names_it(task, tmp_path, result, says):
    own = replace(task, strategy=lambda settings: Odd(result))
    with pytest.raises(TaskError, match=f"the strategy Odd: aggregate_train failed: .*{says}"):
        trained(own, SETTINGS, tmp_path)


def test_buffered_rounds_take_no_strategy_that_sees_every_update(task):
    settings = SETTINGS.changed(asynchronous="buffered(3)")
    median = replace(task, strategy=lambda settings: FedMedian())
    with pytest.raises(UsageError, match="FedMedian .*asynchronous aggregation has none"):
        strategy_of(settings, median)


def test_only_strategies_are_wrapped():
    with pytest.raises(UsageError, match="takes a strategy of flwr.serverapp"):
        FrugalStrategy.wrap(FedAvg, SETTINGS)


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ({"schedule": "plateau(0.5, 2)"}, r"schedule = plateau\(0.5, 2\)"),
        (
            {"stop_accuracy": 0.9, "round_deadline": 5.0},
            "round-deadline = 5.0, stop-accuracy = 0.9",
        ),
        ({"energy_budget": 3.0}, "energy-budget = 3.0"),
        ({"asynchronous": "buffered(3)"}, r"asynchronous = buffered\(3\)"),
    ],
)
def test_a_setting_that_wrapping_would_ignore_is_refused_by_name(setting, named):
    with pytest.raises(UsageError, match=f"wrapped strategy does not follow {named}, which"):
        FrugalStrategy.wrap(FedAvg(), SETTINGS.changed(**setting))


def spoil(reply):
    for record in reply.content.config_records.values():
        for key, value in record.items():
            if isinstance(value, bytes) and len(value) > 100:
                record[key] = value[:-1] + bytes([value[-1] ^ 1])


def test_a_wrapped_strategy_sets_aside_who_sends_garbage(task, tmp_path):
    class Wrong(InProcessGrid):
        def send_and_receive(self, messages, *, timeout=None):
            replies = list(super().send_and_receive(messages, timeout=timeout))
            for reply in replies:
                if reply.metadata.src_node_id == min(self.get_node_ids()):
                    spoil(reply)
            return replies

    settings = SETTINGS.changed(clients=3, clients_per_round=3, set_aside="after(1, 10)")
    strategy = FrugalStrategy.wrap(FedAvg(min_train_nodes=1, fraction_evaluate=0.0), settings)
    grid = Wrong(client_app, 3, settings.as_config(), tmp_path)
    strategy.start(grid, pack(read_parameters(initial_model(task, settings))), num_rounds=2)
    assert strategy.traffic.set_aside == 1
    assert strategy.traffic.updates == 2
