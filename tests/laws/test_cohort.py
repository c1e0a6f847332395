"""Clients that are trained together come to what each comes to alone, whichever way it is done."""

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as f

from frugalfl import Examples, Task
from frugalfl.blocks import Layout
from frugalfl.errors import DivergedError
from frugalfl.modules import read_parameters
from frugalfl.settings import Settings
from frugalfl.subspace import Subspace
from frugalfl.task import load_task
from frugalfl_client.training.batches import batches
from frugalfl_client.training.pytorch import TorchTrainer
from frugalfl_server.run.app_directory import importable
from frugalfl_sim.engine.cohort import CohortTrainer, Job, cohort_trainer, draw_batches

ROOT = Path(__file__).parents[2]
CLASSES = 4


class Written(nn.Module):
    """A plain forward, as somebody may write it."""

    def __init__(self):
        super().__init__()
        self.wide = nn.Conv2d(2, 5, (3, 2), stride=(1, 2), padding=(1, 0), bias=False)
        self.head = nn.Linear(15, CLASSES)

    def forward(self, x):
        x = f.max_pool2d(torch.relu(self.wide(x)), 2)
        return self.head(torch.flatten(x, 1).tanh())


#: Models, and the shape of their rows; those of the first part are chains.
CHAINS = {
    "dense": ((7,), lambda: nn.Sequential(nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, CLASSES))),
    "smooth": (
        (7,),
        lambda: nn.Sequential(
            nn.Linear(7, 6, bias=False), nn.Tanh(), nn.Sequential(nn.Linear(6, 5), nn.SiLU(True)),
            nn.Linear(5, CLASSES),
        ),
    ),
    "pictures": (
        (1, 6, 6),
        lambda: nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.ZeroPad2d((0, 1, 0, 1)),
            nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(True), nn.Flatten(), nn.Linear(36, CLASSES),
        ),
    ),
    "windows": (
        (3, 16),
        lambda: nn.Sequential(
            nn.Conv1d(3, 4, 3, stride=2, dilation=2, padding=2), nn.ReLU(), nn.MaxPool1d(2),
            nn.AvgPool1d(2), nn.Flatten(), nn.ReLU(), nn.Linear(8, CLASSES),
        ),
    ),
    "unflattened": (
        (16,),
        lambda: nn.Sequential(
            nn.Unflatten(1, (1, 4, 4)), nn.Conv2d(1, 2, 2), nn.GELU(), nn.Flatten(),
            nn.Linear(18, CLASSES),
        ),
    ),
    "written": ((2, 7, 6), Written),
}  # fmt: skip
OTHERS = {
    "normed": (
        (7,), lambda: nn.Sequential(nn.Linear(7, 6), nn.LayerNorm(6), nn.Linear(6, CLASSES)),
    ),
}  # fmt: skip
OPTIMISERS = [
    {"momentum": 0.0},
    {"momentum": 0.8},
    {"optimizer": "nesterov", "momentum": 0.5},
    {"optimizer": "adam"},
    {"optimizer": "adamw", "weight_decay": 0.1},
    {"momentum": 0.5, "weight_decay": 0.05, "clip_norm": 0.4},
]


def task_of(shape, model, loss="cross_entropy"):
    def client_data(client, clients):
        rng = np.random.default_rng(client)
        x = rng.standard_normal((20, *shape)).astype(np.float32)
        return Examples(x, rng.integers(0, CLASSES, 20))

    def seeded():
        torch.manual_seed(5)
        return model()

    return Task("law", model=seeded, client_data=client_data, loss=loss)


@contextmanager
def without_chains():
    kept = cohort_trainer.chain_of
    cohort_trainer.chain_of = lambda *_: None
    try:
        yield
    finally:
        cohort_trainer.chain_of = kept


def jobs_of(data, shape, model, changes):
    """Draw jobs of one round."""
    whole = read_parameters(model)
    layout = Layout.of(whole)
    counts = data.draw(st.lists(st.integers(1, 40), min_size=2, max_size=6), "rows")
    planned = data.draw(st.sets(st.sampled_from(layout.everything), min_size=1), "planned")
    subspace = None
    # A coordinate that all classes' weights follow with one sign has a gradient of 0 but for last
    # bits, and Adam makes whole steps of these.
    if not changes.get("optimizer", "").startswith("adam") and data.draw(st.booleans(), "subspace"):
        names = layout.names(planned)
        subspace = Subspace({name: whole[name].shape for name in names}, 20, 3)
    first = Job(
        whole, tuple(sorted(planned)), Examples(np.zeros((1, *shape), np.float32), np.zeros(1)),
        0.002 if "adam" in changes.get("optimizer", "") else 0.05, (1,), proximal_mu=data.draw(st.sampled_from([0.0, 0.0, 0.3]), "mu"),
        epochs=data.draw(st.integers(0, 3), "epochs"),
        smallest_batch=data.draw(st.integers(1, changes["batch_size"]), "least"), subspace=subspace,
    )  # fmt: skip
    rng = np.random.default_rng(data.draw(st.integers(0, 999), "rows' seed"))
    jobs = []
    for client, count in enumerate(counts):
        x = rng.standard_normal((count, *shape)).astype(np.float32)
        rows = Examples(x, rng.integers(0, CLASSES, count))
        own = {name: one + np.float32(0.01 * client) for name, one in whole.items()}
        begin = data.draw(st.sampled_from([whole, whole, own]), "begins")
        jobs.append(replace(first, parameters=begin, examples=rows, seed=(7, client, count)))
    return jobs


def close(alone, together, adaptive=False):
    """Check that two trainings gave the same, but for the last bits of floats.

    Adam divides by a gradient's own size, so that last bits of small ones become whole steps: of
    it the mean distance tells.
    """
    within = 2e-2 if adaptive else 2e-3
    assert together.loss == pytest.approx(alone.loss, rel=within, abs=1e-5)
    assert list(together.update) == list(alone.update)
    longest = max(abs(step).max() for step in alone.update.values())
    for name, step in alone.update.items():
        assert together.update[name].shape == step.shape
        apart = abs(together.update[name] - step)
        assert (apart.mean() if adaptive else apart.max()) <= within * longest + 2e-6, name


@pytest.mark.parametrize("kind", [*CHAINS, *OTHERS])
@settings(max_examples=4, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(data=st.data())
def test_together_by_hand_and_by_vmap_as_alone(kind, data):
    shape, model = (CHAINS | OTHERS)[kind]
    changes = data.draw(st.sampled_from(OPTIMISERS)) | {"batch_size": data.draw(st.integers(1, 9))}
    task, given_ = task_of(shape, model), Settings.of(local_epochs=2, **changes)
    jobs = jobs_of(data, shape, task.new_model(), changes)
    alone = TorchTrainer(task, given_)
    expected = [alone.train(**vars(job)) for job in jobs]
    by_hand = CohortTrainer(task, given_)
    assert by_hand.why_not == ""
    found = by_hand.train(jobs)
    assert by_hand.way == ("by hand" if kind in CHAINS else "by vmap")
    with without_chains():
        other = CohortTrainer(task, given_)
        assert other.way == "by vmap"
        others = other.train(jobs)
    adaptive = given_.train.local_optimizer.adaptive
    for one, two, three in zip(expected, found, others, strict=True):
        close(one, two, adaptive)
        close(one, three, adaptive)


SHIPPED = {
    "simulations/digits": "by hand", "benchmarks/tasks/cancer": "by hand",
    "benchmarks/tasks/sensor": "by hand", "benchmarks/tasks/residual": "one by one",
}  # fmt: skip


@pytest.mark.parametrize("folder", SHIPPED)
def test_shipped_tasks_train_together_as_alone(folder):
    with importable(ROOT / folder):
        task, given_ = load_task("task:task"), Settings.of(local_epochs=1, batch_size=16)
        trainer, alone = CohortTrainer(task, given_), TorchTrainer(task, given_)
        whole = read_parameters(task.new_model())
        jobs = [
            Job(whole, Layout.of(whole).everything, task.rows_of(client, 10), 0.02, (3, client))
            for client in range(3)
        ]
        found = trainer.train(jobs)
        assert trainer.way == SHIPPED[folder]
        for job, one in zip(jobs, found, strict=True):
            close(alone.train(**vars(job)), one)


def own_loss(outputs, targets):
    return (1 - outputs.softmax(1).gather(1, targets[:, None])).square().mean()


def test_a_loss_of_the_tasks_own_and_jobs_that_differ_in_everything():
    shape, model = CHAINS["pictures"]
    task, given_ = task_of(shape, model, own_loss), Settings.of(local_epochs=1, batch_size=4)
    whole = read_parameters(task.new_model())
    first = Job(whole, (0, 2), task.rows_of(0, 9), 0.05, (1,))
    short = Examples(first.examples.x[:6], first.examples.y[:6])
    jobs = [
        first, replace(first, seed=(1 << 40, 2)), replace(first, planned=(1,)),
        replace(first, examples=short), replace(first, examples=short, seed=(4,)),
        replace(first, learning_rate=0.01), replace(first, epochs=2, smallest_batch=3),
    ]  # fmt: skip
    trainer, alone = CohortTrainer(task, given_), TorchTrainer(task, given_)
    for job, one in zip(jobs, trainer.train(jobs), strict=True):
        close(alone.train(**vars(job)), one)
    assert trainer.way == "by hand"


def test_a_job_that_diverges_is_told_and_the_others_are_as_without_it():
    shape, model = CHAINS["dense"]
    task, given_ = task_of(shape, model), Settings.of(local_epochs=2, momentum=0.0)
    whole = read_parameters(task.new_model())
    huge = {name: one + np.float32(3e38) for name, one in whole.items()}
    jobs = [
        Job(huge if client == 1 else whole, (0, 1), task.rows_of(client, 9), 0.05, (client,))
        for client in range(3)
    ]
    trainer = CohortTrainer(task, given_)
    together = trainer.train(jobs)
    assert isinstance(together[1], DivergedError)
    for one, other in zip(together[::2], trainer.train(jobs[::2]), strict=True):
        close(other, one)


def test_small_chunks_change_nothing(monkeypatch):
    shape, model = CHAINS["pictures"]
    task, given_ = task_of(shape, model), Settings.of(local_epochs=1)
    whole = read_parameters(task.new_model())
    jobs = [Job(whole, (0, 1, 2), task.rows_of(client, 9), 0.05, (client,)) for client in range(5)]
    expected = CohortTrainer(task, given_).train(jobs)
    monkeypatch.setattr(cohort_trainer, "_MOST_BYTES", 1)
    for one, other in zip(expected, CohortTrainer(task, given_).train(jobs), strict=True):
        close(one, other)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 1 << 256) | st.integers(0, 9), min_size=1, max_size=6),
            st.integers(1, 70),
        ),
        min_size=1,
        max_size=5,
    ),
    st.integers(1, 3),
    st.integers(1, 40),
    st.data(),
)
def test_batches_of_many_are_those_that_each_draws(clients, epochs, size, data):
    least = data.draw(st.integers(1, size))
    seeds, rows = [tuple(seed) for seed, _ in clients], [count for _, count in clients]
    drawn = draw_batches.draw_batches(seeds, rows, epochs, size, least)
    first = 0
    for client, (seed, count) in enumerate(zip(seeds, rows, strict=True)):
        rng, step = np.random.default_rng(seed), 0
        for _ in range(epochs):
            for batch in batches(count, size, rng, least):
                weights = drawn.weights[step, client]
                assert np.array_equal(drawn.rows[step, client, : len(batch)], batch + first)
                assert np.count_nonzero(weights) == len(batch) <= drawn.widths[step]
                assert weights[: len(batch)] == pytest.approx(1 / len(batch))
                step += 1
        assert drawn.counts[client] == step
        assert not drawn.weights[step:, client].any()
        first += count
