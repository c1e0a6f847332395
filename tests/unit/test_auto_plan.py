"""``refresh = auto``: the rule, what it falls back to ``full`` for, and what is told of it."""

from __future__ import annotations

import re
from dataclasses import replace
from math import ceil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from frugalfl.errors import RunError, UsageError
from frugalfl.plans import InSubspace, Situation, choose_plan, parse_plan
from frugalfl.plans.round_bytes import (
    first_model_b,
    first_model_each_round_b,
    full_round_b,
    subspace_round_b,
)
from frugalfl.settings import Settings
from frugalfl.task import Examples, Task
from frugalfl_server.phases.choose_refresh import choose_refresh, refresh_as_told
from frugalfl_server.report.changed import settings_of, settings_sheet
from frugalfl_server.run.checkpoint import random_state
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.resume import to_resume, with_choices_of
from frugalfl_server.run.run_list import list_runs

AUTO = {"refresh": "auto", "initial": "seeded"}
DIGITS = Situation(weights=38_282, statistics=0, clients=40, asked=10, rounds=80)


def wide(hidden: int = 400) -> nn.Module:
    """Return a net of 41,603 weights, or 104 fewer for each hidden unit that is missing."""
    return nn.Sequential(nn.Linear(100, hidden), nn.ReLU(), nn.Linear(hidden, 3))


def task_of(model=wide, **hooks) -> Task:
    rows = Examples(np.zeros((8, 100), np.float32), np.arange(8) % 3)
    return Task("t", model=model, client_data=lambda *_: rows, public_data=lambda: None, **hooks)


def test_a_long_run_that_most_clients_miss_trains_a_subspace_and_says_so() -> None:
    choice = choose_plan(DIGITS)
    assert str(choice) == (
        "auto: subspace(1024, fold 5), since 30 of 40 clients miss a round and 80 rounds are long "
        "enough for it: it should take 2.9 times fewer bytes than full, and on digits it ended 0.6 "
        "points lower; set refresh = full for all weights"
    )


def test_first_models_count_and_only_a_long_run_makes_up_for_them() -> None:
    """40 models of 54 kB are most of what 80 rounds of 10 updates take."""
    sent = replace(DIGITS, first_b=first_model_b(DIGITS.weights))
    choice = choose_plan(sent)
    assert choice.plan == "full"
    assert choice.why == (
        "a client's round should take some 4,337 B, and in subspace(1024, fold 5) 3,256, each with "
        "2,681 for the first model: a subspace is chosen if it takes half as many at most"
    )
    long = choose_plan(replace(sent, rounds=600))
    assert long.plan == "subspace(1024, fold 5)"
    assert "2.2 times fewer bytes than full, each with 357 for the first model, and" in long.why


def test_a_users_run_whose_first_models_were_most_of_its_bytes_trains_all_weights() -> None:
    """48,565 weights, 5 of 20, 70 rounds: measured 22 % fewer bytes, and three times the joules."""
    first_b = first_model_b(48_565)
    full = full_round_b(48_565, 20, 5) + first_model_each_round_b(first_b, 20, 5, 70)
    subspace = subspace_round_b(1024, 5, 20, 5) + first_model_each_round_b(first_b, 20, 5, 70)
    assert subspace / full == pytest.approx(0.78, abs=0.08)
    assert choose_plan(Situation(48_565, 0, 20, 5, 70, first_b=first_b)).plan == "full"
    assert choose_plan(Situation(48_565, 0, 40, 10, 70)).plan == "subspace(1024, fold 5)"


@given(clients=st.integers(1, 500), share=st.floats(0, 1), rounds=st.integers(1, 500))
def test_first_models_of_a_run_are_one_for_each_client_that_is_asked_at_all(
    clients, share, rounds
) -> None:
    asked = max(1, ceil(share * clients))
    models = first_model_each_round_b(1.0, clients, asked, rounds) * rounds * asked
    assert asked * (1 - 1e-9) <= models <= clients * (1 + 1e-9)
    assert rounds > 1 or models == pytest.approx(asked)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"rounds": 59}, "59 rounds are few"),
        ({"asked": 21}, "21 of 40 clients train in each round"),
        ({"clients": 10}, "10 of 10 clients"),
        ({"weights": 9_999}, "9,999 weights"),
        ({"weights": 1_000_001}, "1,000,001 weights"),
        (
            {"weights": 24_000},
            r"take some 1,\d{3} B, and in subspace\(1024, fold 5\) 575: a subspace is",
        ),
        ({"asked": 3}, "3 clients train in each round, and a subspace takes at least 8"),
        ({"weights": 100_000, "clients": 10_000, "asked": 10}, "takes half as many"),
        ({"statistics": 129}, "129 running statistics"),
        ({"uplink_budget": 113}, "uplink-budget is 113 B.*takes 114 B"),
        ({"against": "the moon is full"}, "the moon is full"),
    ],
)
def test_outside_the_range_that_was_measured_it_is_full(changes, why) -> None:
    choice = choose_plan(replace(DIGITS, **changes))
    assert choice.plan == "full"
    assert re.search(why, choice.why), choice.why


#: Weights, clients, asked; bytes of an update and a way down in full, subspace(1024, fold 5) and
#: subspace(512), as measured (benchmarks/results/subspaces.json; the last five: drawn rows).
MEASURED = [
    (38_282, 40, 10, (271, 1590), (187, 393), (107, 178)),
    (19_462, 40, 10, (209, 776), (188, 376), (106, 185)),
    (10_403, 4, 1, (297, 98), (188, 439), (106, 183)),
    (10_403, 4, 2, (237, 138), (189, 273), (105, 124)),
    (10_403, 20, 5, (158, 244), (188, 457), (106, 210)),
    (10_403, 40, 10, (127, 388), (189, 457), (106, 193)),
    (20_803, 40, 10, (211, 727), (189, 445), (106, 198)),
]


@pytest.mark.parametrize(("weights", "clients", "asked", "full", "large", "small"), MEASURED)
def test_bytes_are_estimated_as_they_were_measured(
    weights, clients, asked, full, large, small
) -> None:
    assert full_round_b(weights, clients, asked) == pytest.approx(sum(full), rel=0.2)
    assert subspace_round_b(1024, 5, clients, asked) == pytest.approx(sum(large), rel=0.2)
    assert subspace_round_b(512, 10, clients, asked) == pytest.approx(sum(small), rel=0.2)
    choice = choose_plan(Situation(weights, 0, clients, asked, rounds=80))
    assert (choice.plan == "full") == (asked < 8 or sum(full) < 2 * sum(large))


@pytest.mark.parametrize(
    ("budget", "plan"),
    [(114, "subspace(512, fold 10)"), (198, "subspace(512, fold 10)"),
     (199, "subspace(1024, fold 5)"), (0, "subspace(1024, fold 5)")],
)  # fmt: skip
def test_an_uplink_budget_decides_how_many_coordinates(budget, plan) -> None:
    assert choose_plan(replace(DIGITS, uplink_budget=budget)).plan == plan


whole = st.integers(0, 2_000_000)


@given(weights=whole, statistics=whole, clients=st.integers(1, 10_000), rounds=whole,
       share=st.floats(0, 2), budget=st.integers(0, 500))  # fmt: skip
def test_any_situation_has_one_plan_that_can_be_read(
    weights, statistics, clients, rounds, share, budget
) -> None:
    asked = max(1, ceil(share * clients))
    situation = Situation(weights, statistics, clients, asked, rounds, budget)
    choice = choose_plan(situation)
    plan = parse_plan(choice.plan)
    assert choice.plan == "full" or isinstance(plan, InSubspace)
    assert "\n" not in str(choice) and len(str(choice)) < 300
    if isinstance(plan, InSubspace):
        assert rounds >= 60 and 16 <= 2 * asked <= clients and 10_000 <= weights <= 1_000_000
        assert not budget or plan.dimension / 6 + 28 <= budget


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"asynchronous": "buffered(5)"}, "needs whole rounds"),
        ({"downlink": "dyadic(1%) | range"}, "a way down of its own"),
        ({"downlink": "dyadic(1%) | range", "downlink_budget": 900}, "a way down of its own"),
        ({"strategy": "qfedavg(1)"}, "takes updates for gradients"),
        ({"strategy": "fedadam(0.01)"}, "measured with strategy = fedadam"),
        ({"strategy": "krum(1)"}, "measured with strategy = krum"),
        ({"sampling": "sticky(20, 8)"}, "measured with sampling = sticky"),
        ({"uplink": "qsgd(8) | range"}, "measured with uplink = qsgd"),
        ({"optimizer": "adam", "learning_rate": 0.01}, "measured with optimizer = adam"),
        ({"private": "0"}, "1,203 weights"),
        ({"rounds": 20}, "20 rounds are few"),
        ({"clients_per_round": 10, "over_select": 1.5}, "25 of 40 clients"),
        ({"trees": "bagging(20)", "prune": 0.0, "recover_rounds": 0}, "trees have no"),
    ],
)  # fmt: skip
def test_what_a_subspace_refuses_or_was_not_measured_with_is_full(changes, why) -> None:
    """And says why, in a sentence without what to set instead."""
    asked = Settings.of({"refresh": "auto"}, **({"prune": 0.0} | changes))
    settings, chosen = choose_refresh(task_of(), asked)
    assert settings == asked.changed(refresh="full")
    assert chosen["refresh"].startswith("auto: full, since ") and why in chosen["refresh"]
    assert ";" not in chosen["refresh"]


def test_the_model_decides_too() -> None:
    def plan(task):
        return choose_refresh(task, Settings.of(refresh="auto", initial="seeded"))[0].wire.refresh

    assert plan(task_of()) == "subspace(1024, fold 5)"
    assert plan(task_of(lambda: wide(90))) == "full"  # 9,363 weights
    assert plan(task_of(lambda: nn.Sequential(wide(), nn.BatchNorm1d(200)))) == "full"
    assert plan(task_of(strategy=lambda _: None)) == "full"


def test_so_does_how_clients_get_their_first_model() -> None:
    exact, told = choose_refresh(task_of(), Settings.of(refresh="auto", initial="exact"))
    assert exact.wire.refresh == "full" and "for the first model" in told["refresh"]
    long, _ = choose_refresh(task_of(), Settings.of(refresh="auto", initial="exact", rounds=900))
    assert long.wire.refresh == "subspace(1024, fold 5)"


def test_a_plan_that_somebody_set_is_not_touched_and_nothing_is_told() -> None:
    for refresh in ("full", "last(1)", "subspace(64)"):
        settings = Settings.of(refresh=refresh)
        assert choose_refresh(task_of(), settings) == (settings, {})
        assert refresh_as_told(settings) == (settings, {})


def test_clients_that_have_been_told_already_train_all_weights() -> None:
    settings, chosen = refresh_as_told(Settings.of(refresh="auto"))
    assert settings.wire.refresh == "full"
    assert "frugalfl serve" in chosen["refresh"]


def test_choosing_draws_no_random_numbers() -> None:
    def drawn():
        return [torch.random.get_rng_state().tolist(), str(random_state())]

    before = drawn()
    choose_refresh(task_of(), Settings.of(refresh="auto"))
    assert drawn() == before


@pytest.mark.parametrize("text", ["alternate(full, auto)", "subspace(64, auto)", "auto(1)"])
def test_auto_is_the_whole_plan(text) -> None:
    with pytest.raises(UsageError):
        parse_plan(text)


def begun(folder, **keys):
    settings, chosen = choose_refresh(task_of(), Settings.of(AUTO, **keys))
    return RunDirectory.create(folder, "t", settings, None, chosen)


def test_a_run_keeps_what_was_asked_and_what_it_became(tmp_path) -> None:
    run = begun(tmp_path)
    about = run.read_json("run.json")
    assert about["settings"]["refresh"] == "subspace(1024, fold 5)"
    assert (
        about["chosen"]
        == run.chosen
        == {"refresh": str(choose_plan(replace(DIGITS, weights=41_603)))}
    )
    (shown,) = [one for one in settings_of(about) if one.name == "refresh"]
    assert (shown.value, shown.default, shown.changed) == (run.chosen["refresh"], "auto", False)
    rows = settings_sheet(settings_of(about)).rows
    assert ["refresh", run.chosen["refresh"], "auto", "chosen"] in rows[:2]  # before the defaults
    assert rows[2][-1] == "no"
    (listed,) = list_runs([run.path])
    assert listed.settings["refresh"] == "subspace(1024, fold 5)"
    assert listed.followed["refresh"] == "auto: subspace(1024, fold 5)"  # what `frugalfl runs` has


def test_auto_goes_on_with_what_a_run_chose_and_nothing_else(tmp_path) -> None:
    auto = Settings.of(AUTO)
    run = begun(tmp_path)
    goes_on = with_choices_of(run.path, auto)
    assert goes_on.wire.refresh == "subspace(1024, fold 5)"
    assert to_resume(run.path, goes_on).name == run.name
    with pytest.raises(UsageError, match="was begun with refresh"):
        to_resume(run.path, with_choices_of(run.path, Settings.of(AUTO, refresh="full")))
    as_by_flwr_run = refresh_as_told(auto)[0]
    with pytest.raises(UsageError, match=r"'auto'.*set refresh = 'subspace\(1024, fold 5\)'"):
        to_resume(run.path, as_by_flwr_run)
    other = begun(tmp_path, refresh="last(1)")
    with pytest.raises(UsageError, match=r"begun with refresh = 'last\(1\)', not 'auto'"):
        to_resume(other.path, with_choices_of(other.path, auto))


@pytest.mark.parametrize("chosen", [3, ["refresh"], {"refresh": 3}, {"refresh": None}])
def test_a_run_that_does_not_say_in_words_what_it_chose_is_damaged(tmp_path, chosen) -> None:
    run = begun(tmp_path)
    run.write_json("run.json", run.read_json("run.json") | {"chosen": chosen})
    with pytest.raises(RunError, match="its chosen is"):
        RunDirectory.open(run.path)
