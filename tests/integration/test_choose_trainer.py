"""``trainer = "auto"`` in a simulation: measured once, said, and kept for the whole run."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest
import torch
from torch import nn

from frugalfl.settings import Settings
from frugalfl.task import Examples, PublicData, Task
from frugalfl_server.cohort.training_programs import FEWEST_TRAININGS
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.resume import begin, to_resume, with_choices_of
from frugalfl_sim.choose_trainer import choose_trainer

from .conftest import DIGITS, frugalfl

RNG = np.random.default_rng(0)
ROWS = Examples(RNG.normal(size=(40, 6)).astype(np.float32), np.arange(40) % 3)
LONG = {"rounds": FEWEST_TRAININGS // 10, "clients_per_round": 10, "clients": 10, "prune": 0.0}


def task_of(rows=ROWS, public=True, model=lambda: nn.Sequential(nn.Linear(6, 9), nn.Linear(9, 3))):
    data = {"public_data": lambda: PublicData(test=rows)} if public else {}
    return Task("t", model=model, client_data=lambda *_: rows, **data)


def drawn():
    return random.random(), np.random.rand(), float(torch.rand(()))


def seed():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.mark.parametrize("refresh", ["full", "subspace(8)"])
def test_both_are_measured_and_the_choice_is_the_runs_own(tmp_path, refresh):
    asked = Settings.of(**LONG, refresh=refresh)
    seed()
    expected = drawn()
    seed()
    choice = choose_trainer(task_of(), asked)
    assert drawn() == expected
    name = choice.settings.train.trainer
    assert name in ("torch", "litert")
    told = choice.chosen["trainer"]
    assert told.startswith(f"{name} (an epoch over 40 rows takes ")
    assert "ms of processor time with LiteRT and " in told
    costs = [float(told.split(word)[1].split()[0]) for word in ("takes ", "LiteRT and ")]
    assert (name == "litert") is (costs[0] <= 0.8 * costs[1])
    assert {record.phase for record in choice.energy} - {"setup"} == {"compile", "trial"}
    assert {record.run for record in choice.energy_of("a run")} == {"a run"}
    run = RunDirectory.create(tmp_path, "t", choice.settings, None, choice.chosen)
    again = with_choices_of(run.path, asked)
    assert again.train.trainer == name
    assert to_resume(run.path, again).name == run.name
    run.add_energy(choice.energy_of(run.name))
    run.flush()
    begun = RunDirectory.open(run.path)
    begin(begun)  # what was found before the first round was paid for
    assert {record.phase for record in begun.energy} >= {"compile", "trial"}


@pytest.mark.parametrize(
    ("changes", "task"),
    [
        ({"rounds": 99}, task_of()),  # too short
        ({"trainer": "torch"}, task_of()),
        ({"private": "1"}, task_of()),
        ({}, task_of(public=False)),
    ],
)
def test_other_runs_are_left_as_they_are(changes, task):
    settings = Settings.of(**LONG | changes)
    assert choose_trainer(task, settings) == (settings, {}, ())


def test_a_task_whose_measure_no_program_knows_trains_with_pytorch_and_says_why():
    rows = Examples(ROWS.x, RNG.normal(size=(40, 3)).astype(np.float32))
    task = dataclasses.replace(task_of(rows), loss=nn.functional.mse_loss)
    choice = choose_trainer(task, Settings.of(**LONG))
    assert choice.settings.train.trainer == "torch"
    assert "measures something else" in choice.chosen["trainer"]


def test_a_model_that_cannot_be_compiled_trains_with_pytorch_and_says_why():
    choice = choose_trainer(task_of(model=Sorting), Settings.of(**LONG))
    assert choice.settings.train.trainer == "torch"
    assert "no training program can be tried" in choice.chosen["trainer"]


class Sorting(nn.Module):
    """A model with an operator that no training program has."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, x):
        return torch.linalg.svd(self.layer(x))[0][:, :3]


@pytest.mark.slow
def test_a_run_says_what_it_chose_and_charges_it(tmp_path):
    long = (
        f"rounds={FEWEST_TRAININGS // 4}", "clients=4", "clients-per-round=4", "local-epochs=1",
        "prune=0", "export=false", "evaluate-rows=0", "engine=sequential",
    )  # fmt: skip
    result = frugalfl("simulate", DIGITS, *long, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    run = RunDirectory.open(next((tmp_path / "runs").resolve().glob("2*")))
    chosen = run.chosen["trainer"]
    assert f"trainer = {chosen}" in result.stderr
    assert run.read_json("run.json")["settings"]["trainer"] == chosen.partition(" ")[0]
    own = {record.phase for record in run.energy if record.client == "server"}
    assert {"compile", "trial"} <= own
