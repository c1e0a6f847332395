"""From the setting ``strategy`` to Flower's strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from flwr.app import ArrayRecord, Message, MetricRecord
from flwr.serverapp import strategy as flower
from flwr.serverapp.strategy.strategy_utils import aggregate_metricrecords

from frugalfl.errors import TaskError, UsageError
from frugalfl.settings import Settings
from frugalfl.task import Task

#: What Flower weighs clients by, unless a strategy says otherwise.
_WEIGHT = "num-examples"


class EvenFedAvg(flower.FedAvg):
    """The mean in which every client counts alike, whatever its rows.

    Noise that hides one client is measured by what one client can move the mean by, and Flower
    takes that for one part in as many as were asked.
    """

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Average, each with the weight 1."""
        given = list(replies)
        for reply in given:
            for metrics in reply.content.metric_records.values():
                metrics[self.weighted_by_key] = 1
        return super().aggregate_train(server_round, given)


def _private(noise: float, clip: float, clients: int, **picking: Any) -> flower.Strategy:
    return flower.DifferentialPrivacyServerSideFixedClipping(
        EvenFedAvg(**picking), noise, clip, clients
    )


#: From the settings and a strategy's own numbers to Flower's class and what it is to be given.
BUILD: dict[str, Callable[..., tuple[Callable[..., flower.Strategy], dict[str, Any]]]] = {
    "fedavg": lambda _: (flower.FedAvg, {}),
    "fedavgm": lambda _, momentum: (flower.FedAvgM, {"server_momentum": momentum}),
    "fedadagrad": lambda _, rate: (flower.FedAdagrad, {"eta": rate}),
    "fedadam": lambda _, rate: (flower.FedAdam, {"eta": rate}),
    "fedyogi": lambda _, rate: (flower.FedYogi, {"eta": rate}),
    "fedprox": lambda _, mu: (flower.FedProx, {"proximal_mu": mu}),
    "qfedavg": lambda settings, q: (
        flower.QFedAvg,
        {
            "q": q,
            "client_learning_rate": settings.train.learning_rate,
            "train_loss_key": "train-loss",
        },
    ),
    "fedmedian": lambda _: (flower.FedMedian, {}),
    "fedtrimmedavg": lambda _, share: (flower.FedTrimmedAvg, {"beta": share}),
    "krum": lambda _, bad: (flower.Krum, {"num_malicious_nodes": bad}),
    "multikrum": lambda _, bad, kept: (
        flower.MultiKrum,
        {"num_malicious_nodes": bad, "num_nodes_to_select": kept},
    ),
    "bulyan": lambda _, bad: (flower.Bulyan, {"num_malicious_nodes": bad}),
    "dpfedavg": lambda settings, noise, clip: (
        partial(_private, noise, clip, settings.rounds.clients_per_round),
        {},
    ),
}


#: Flower's own that take a round's weighted mean, then do something on the server with it.
_ONLY_MEAN = (
    flower.FedAvg, flower.FedAvgM, flower.FedAdagrad, flower.FedAdam, flower.FedYogi,
    flower.FedProx,
)  # fmt: skip


def needs_only_mean(strategy: flower.Strategy) -> bool:
    """Tell whether a strategy makes its step of the clients' weighted mean alone.

    Then updates are added up as they come, compressed. Flower's own are known; one of a user's says
    so itself by an attribute ``only_mean = True``. Any other gets every client's arrays, which
    costs memory and time, but changes no result.
    """
    if type(strategy) not in _ONLY_MEAN and not getattr(strategy, "only_mean", False):
        return False
    # Other weights than the clients' rows, or figures of each client, need the single replies.
    return (
        getattr(strategy, "weighted_by_key", _WEIGHT) == _WEIGHT
        and getattr(strategy, "train_metrics_aggr_fn", aggregate_metricrecords)
        is aggregate_metricrecords
    )


def strategy_of(settings: Settings, task: Task | None = None) -> flower.Strategy:
    """Build the strategy that the settings name, or the task's own.

    Raises:
        UsageError: Both name one.
        TaskError: The task's hook failed, or gives none.
    """
    if task is not None and task.strategy is not None:
        return _own(settings, task)
    chosen = settings.rounds.chosen_strategy
    kind, arguments = BUILD[chosen.name](settings, *chosen.numbers)
    # It is shown exactly the clients of a round, and asks them all.
    return kind(
        **arguments,
        fraction_train=1.0,
        fraction_evaluate=0.0,
        min_train_nodes=1,
        min_available_nodes=1,
    )


def _own(settings: Settings, task: Task) -> flower.Strategy:
    """Return what the task's ``strategy`` hook gives."""
    assert task.strategy is not None
    if settings.rounds.strategy != Settings().rounds.strategy:
        raise UsageError(
            f"strategy is {settings.rounds.strategy!r}, and the task {task.name!r} has a strategy "
            "of its own; leave one of the two out"
        )
    with task.blamed("strategy()"):
        found = task.strategy(settings)
    if not isinstance(found, flower.Strategy):
        raise TaskError(
            f"strategy() of the task {task.name!r} gives a {type(found).__name__}, not a strategy "
            "of flwr.serverapp"
        )
    if settings.rounds.asynchronous and not needs_only_mean(found):
        raise UsageError(
            f"the strategy {type(found).__name__} of the task {task.name!r} is shown every update "
            "of a round, and asynchronous aggregation has none; give it only_mean = True if it "
            "needs no more than their mean, or leave asynchronous out"
        )
    return found


def fewest_of(strategy: flower.Strategy) -> int:
    """Return how many nodes a strategy waits for before it begins a round."""
    inside = getattr(strategy, "strategy", None)
    own = [getattr(strategy, name, 1) for name in ("min_train_nodes", "min_available_nodes")]
    return max(*own, 1 if inside is None else fewest_of(inside))


def averaging(settings: Settings) -> flower.FedAvg:
    """Return Flower's FedAvg for the settings: so many clients a round, no client evaluation."""
    count = settings.rounds.clients_per_round
    return flower.FedAvg(
        # Flower takes the larger of a share and a count: the share must not round the count up.
        fraction_train=1e-9,
        fraction_evaluate=0.0,
        min_train_nodes=count,
        min_available_nodes=count,
    )
