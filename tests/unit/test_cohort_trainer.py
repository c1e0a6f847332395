"""Clients that are trained at once come to what each comes to alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from frugalfl import Examples, PublicData, Task
from frugalfl.errors import DivergedError
from frugalfl.modules import read_parameters
from frugalfl.private import split
from frugalfl.settings import Settings
from frugalfl_client.training.pytorch import TorchTrainer
from frugalfl_sim.engine.cohort import CohortTrainer, Job

ROWS = (9, 3, 16, 40, 16, 1)
WAYS = {
    "sgd": {},
    "nesterov": {"optimizer": "nesterov"},
    "adam": {"optimizer": "adam", "learning_rate": 0.002, "final_learning_rate": 0.001},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.1},
    "decay": {"weight_decay": 0.01, "clip_norm": 0.3},
    "private": {"private": "2", "prune": 0.0},
    "subspace": {"refresh": "subspace(16)"},
}


def examples(number):
    rng = np.random.default_rng(number)
    rows = ROWS[number % len(ROWS)]
    return Examples(rng.standard_normal((rows, 6)).astype(np.float32), rng.integers(0, 3, rows))


def task(model=None, **more):
    def plain():
        return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))

    return Task(
        "t", model=model or plain, client_data=lambda number, of: examples(number),
        public_data=lambda: PublicData(test=examples(0)), **more,
    )  # fmt: skip


def settings(**changes):
    return Settings.of(
        **{"local_epochs": 2, "batch_size": 4, "clients": len(ROWS), "clients_per_round": 3}
        | changes
    )


def jobs_of(own, chosen, **more):
    whole = read_parameters(own.new_model())
    parameters, _ = split(whole, chosen.wire.private)
    layout = TorchTrainer(own, chosen).layout
    plan = chosen.wire.subspace
    subspace = None if plan is None else plan.of_model(parameters, 0, 0).keeping_signs()
    rate = chosen.learning_rate_at(1)
    return [
        Job(
            parameters, layout.everything, examples(number), rate, (5, number), subspace=subspace,
            smallest_batch=2, **more,
        )
        for number in range(len(ROWS))
    ]  # fmt: skip


def compare(own, chosen, jobs):
    cohort, alone = CohortTrainer(own, chosen), TorchTrainer(own, chosen)
    assert cohort.why_not == ""
    for job, found in zip(jobs, cohort.train(jobs), strict=True):
        wanted = alone.train(**vars(job))
        assert found.loss == pytest.approx(wanted.loss, rel=1e-5)
        for part in ("update", "private"):
            mine, theirs = getattr(found, part), getattr(wanted, part)
            assert list(mine) == list(theirs)
            for name, tensor in theirs.items():
                np.testing.assert_allclose(mine[name], tensor, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("way", WAYS)
def test_a_cohort_comes_to_what_each_client_comes_to_alone(way):
    own, chosen = task(), settings(**WAYS[way])
    compare(own, chosen, jobs_of(own, chosen))


@pytest.mark.parametrize("planned", [(0,), (1,)])
def test_with_a_proximal_term_and_some_blocks_frozen(planned):
    own, chosen = task(), settings()
    jobs = [replace(job, planned=planned) for job in jobs_of(own, chosen, proximal_mu=0.3)]
    compare(own, chosen, jobs)


def test_a_loss_of_the_tasks_own_and_clients_that_begin_apart():
    def loss(outputs, targets):
        return nn.functional.cross_entropy(outputs, targets) + outputs.square().mean()

    own, chosen = task(loss=loss), settings()
    jobs = [
        replace(job, parameters={name: one + place for name, one in job.parameters.items()})
        for place, job in enumerate(jobs_of(own, chosen))
    ]
    compare(own, chosen, jobs)


def test_a_client_that_diverges_leaves_the_others_as_they_are():
    own, chosen = task(), settings()
    jobs = jobs_of(own, chosen)
    worst = Examples(np.full((9, 6), np.nan, np.float32), examples(0).y)
    found = CohortTrainer(own, chosen).train([replace(jobs[0], examples=worst), *jobs[1:]])
    assert isinstance(found[0], DivergedError)
    wanted = CohortTrainer(own, chosen).train(jobs)
    for one, other in zip(found[1:], wanted[1:], strict=True):
        assert one.loss == pytest.approx(other.loss)


class Scaled(nn.Module):
    """Works otherwise while it is frozen, as norms do."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(6))

    def forward(self, x):
        return x * self.scale * (2 if self.training else 1)


@pytest.mark.parametrize("planned", [(0, 1), (0,), (1,)])
def test_a_frozen_layer_of_the_users_own_knows_that_it_is_frozen(planned):
    own, chosen = task(lambda: nn.Sequential(Scaled(), nn.Linear(6, 3))), settings()
    compare(own, chosen, [replace(job, planned=planned) for job in jobs_of(own, chosen)])


@pytest.mark.parametrize("layer", [nn.Tanh(), nn.LayerNorm(5)])
def test_rows_that_cross_entropy_leaves_out_do_not_count(layer):
    own = task(lambda: nn.Sequential(nn.Linear(6, 5), layer, nn.Linear(5, 3)))
    chosen = settings()
    jobs = jobs_of(own, chosen)
    y = jobs[3].examples.y.copy()
    y[::7] = -100
    jobs[3] = replace(jobs[3], examples=Examples(jobs[3].examples.x, y))
    compare(own, chosen, jobs)


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (nn.BatchNorm1d(5), "running statistics"),
        (nn.Dropout(0.5), "by chance"),
    ],
)
def test_what_cannot_be_batched_is_said_and_trained_one_by_one(layer, why):
    own = task(lambda: nn.Sequential(nn.Linear(6, 5), layer, nn.Linear(5, 3)))
    chosen = settings()
    cohort = CohortTrainer(own, chosen)
    assert why in cohort.why_not and "\n" not in cohort.why_not
    jobs = jobs_of(own, chosen)[:2]
    alone = TorchTrainer(own, chosen)
    for job, found in zip(jobs, cohort.train(jobs), strict=True):
        wanted = alone.train(**vars(job))
        assert all((found.update[n] == one).all() for n, one in wanted.update.items())
