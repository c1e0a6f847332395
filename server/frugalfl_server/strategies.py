"""From the setting ``strategy`` to Flower's strategy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flwr.serverapp import strategy as flower

from frugalfl.settings import Settings
from frugalfl.strategies import parse_strategy

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
