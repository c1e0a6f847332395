"""The texts of the setting ``strategy``."""

import pytest
from flwr.serverapp.strategy import FedAdam, FedTrimmedAvg, MultiKrum, QFedAvg

from frugalfl.errors import UsageError
from frugalfl.settings import Settings
from frugalfl.strategies import STRATEGIES
from frugalfl_server.rounds.flower_strategies import BUILD, strategy_of


def test_every_strategy_that_may_be_named_can_be_built():
    assert set(BUILD) == set(STRATEGIES)


@pytest.mark.parametrize(
    ("text", "kind", "holds"),
    [
        ("fedadam(0.01)", FedAdam, {"eta": 0.01}),
        ("fedtrimmedavg(20%)", FedTrimmedAvg, {"beta": 0.2}),
        ("multikrum(1, 4)", MultiKrum, {"num_malicious_nodes": 1, "num_nodes_to_select": 4}),
        ("qfedavg(0.2)", QFedAvg, {"q": 0.2, "client_learning_rate": 0.05}),
    ],
)
def test_arguments_reach_flowers_strategy(text, kind, holds):
    built = strategy_of(Settings.of(strategy=text))
    assert type(built) is kind
    assert {name: getattr(built, name) for name in holds} == holds
    # It is shown the clients of a round, and asks them all, however few they are.
    assert (built.fraction_train, built.min_available_nodes, built.fraction_evaluate) == (1, 1, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fedadm(0.1)", "unknown strategy 'fedadm'; did you mean 'fedadam'"),
        ("fedavg(1)", "takes 0 arguments"),
        ("fedadam", "takes 1 arguments"),
        ("fedadam(quick)", "takes a number"),
        ("fedprox(0)", "above 0"),
        ("fedavgm(1)", "from 0 to below 1"),
        ("fedtrimmedavg(50%)", "below 50%"),
        ("krum(0)", "at least 1"),
        (f"krum({10**400})", "at least 1"),
        ("krum(4)", "at least 11 clients a round, not 10"),
        ("bulyan(2)", "at least 11 clients a round, not 10"),
    ],
)
def test_a_wrong_text_is_explained(text, message):
    with pytest.raises(UsageError, match=message):
        Settings.of(strategy=text)
