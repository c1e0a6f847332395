"""Which engine a simulation takes, and what it says of it."""

import pytest
from flwr.clientapp import ClientApp
from tests.unit.test_cohort_trainer import settings, task
from torch import nn

from frugalfl.errors import UsageError
from frugalfl_client.app import app
from frugalfl_sim.choose_engine import choose_engine


def test_auto_takes_the_cohort_and_pytorch_with_it():
    chosen, told = choose_engine(task(), settings(), app)
    assert (chosen.simulation.engine, chosen.train.trainer) == ("cohort", "torch")
    assert told["engine"].startswith("cohort") and "engine=sequential" in told["trainer"]


@pytest.mark.parametrize(
    ("changes", "own", "why"),
    [
        ({"trainer": "litert"}, app, "training programs"),
        ({}, ClientApp(), "code of their own"),
        ({"model": nn.BatchNorm1d}, app, "running statistics"),
    ],
)
def test_what_cannot_train_at_once_trains_one_by_one_and_the_run_says_why(changes, own, why):
    layer = changes.pop("model", None)
    given = task((lambda: nn.Sequential(nn.Linear(6, 3), layer(3))) if layer else None)
    chosen, told = choose_engine(given, settings(**changes), own)
    assert chosen.simulation.engine == "sequential" and why in told["engine"]
    with pytest.raises(UsageError, match=why):
        choose_engine(given, settings(engine="cohort", **changes), own)


def test_who_asks_for_one_by_one_is_told_nothing():
    asked = settings(engine="sequential")
    assert choose_engine(task(), asked, app) == (asked, {})
