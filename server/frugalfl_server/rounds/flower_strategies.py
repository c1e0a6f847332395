"""From the setting ``strategy`` to Flower's strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from flwr.app import ArrayRecord, Message, MetricRecord
from flwr.serverapp import strategy as flower

from frugalfl.settings import Settings
from frugalfl.strategies import parse_strategy


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
            "client_learning_rate": settings.learning_rate,
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
        partial(_private, noise, clip, settings.clients_per_round),
        {},
    ),
}


def strategy_of(settings: Settings) -> flower.Strategy:
    """Build the strategy that the settings name."""
    chosen = parse_strategy(settings.strategy, settings.clients_per_round)
    kind, arguments = BUILD[chosen.name](settings, *chosen.numbers)
    return kind(**arguments, **_picking(settings))


def averaging(settings: Settings) -> flower.FedAvg:
    """Return Flower's FedAvg for the settings."""
    return flower.FedAvg(**_picking(settings))


def _picking(settings: Settings) -> dict[str, Any]:
    """Return what all strategies are given: so many clients a round, no client evaluation."""
    count = settings.clients_per_round
    return {
        # Flower takes the larger of a share and a count: the share must not round the count up.
        "fraction_train": 1e-9,
        "fraction_evaluate": 0.0,
        "min_train_nodes": count,
        "min_available_nodes": count,
    }
