"""Beginning with another run's model, and with a pruned model's shape."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from frugalfl import Task
from frugalfl.errors import RunError, TaskError, UsageError
from frugalfl.modules import read_parameters
from frugalfl.settings import Settings
from frugalfl_server.export import prune
from frugalfl_server.phases.initial_model import initial_model, pin_start, slim_model
from frugalfl_server.run.directory import RunDirectory


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))


def task(name: str = "small", build=model) -> Task:
    return Task(name, model=build, client_data=lambda *_: None, public_data=lambda: None)


@pytest.fixture
def pruned():
    return read_parameters(prune(model().eval(), torch.zeros(1, 6), 0.5)[0])


@pytest.fixture
def run(tmp_path, pruned):
    run = RunDirectory.create(tmp_path / "runs", "small", Settings(), app=None)
    run.checkpoint(pruned, phase="recover", round=9)
    run.flush()
    return run


def test_the_newest_model_of_a_run_is_what_the_first_round_begins_with(run, pruned):
    module = initial_model(task(), Settings.of(start_from=str(run.path)))
    found = read_parameters(module)
    assert found.keys() == pruned.keys()
    assert all(np.array_equal(found[name], pruned[name]) for name in pruned)
    assert module.eval()(torch.zeros(1, 6)).shape == (1, 3)


def test_latest_is_the_run_that_was_the_latest_before(run):
    latest = run.path.parent / "latest"
    pinned = pin_start(Settings.of(start_from=str(latest), rounds=0), task())
    RunDirectory.create(run.path.parent, "small", pinned, app=None)  # moves runs/latest
    assert latest.resolve() != run.path
    assert pinned.run.start_from == str(run.path)


def test_a_run_that_cannot_be_begun_with_is_refused(run, tmp_path):
    start = Settings.of(start_from=str(run.path))
    with pytest.raises(UsageError, match="run of the task 'small', not of 'other'"):
        pin_start(start, task("other"))
    with pytest.raises(RunError, match="not a run directory"):
        pin_start(Settings.of(start_from=str(tmp_path)), task())
    empty = RunDirectory.create(tmp_path / "more", "small", Settings(), app=None)
    with pytest.raises(RunError, match="has no model to begin with"):
        pin_start(Settings.of(start_from=str(empty.path)), task())
    private = Settings.of(private="0", prune=0.0)
    personal = RunDirectory.create(tmp_path / "more", "small", private, app=None)
    with pytest.raises(UsageError, match="private blocks"):
        pin_start(Settings.of(start_from=str(personal.path)), task())
    with pytest.raises(TaskError, match="is not this task's: .*cannot shrink"):
        initial_model(task(build=lambda: nn.Sequential(*model()[:3], nn.Linear(16, 2))), start)


@pytest.mark.parametrize("initial", ["exact", "seeded"])
def test_a_slim_model_has_the_pruned_shapes_and_fresh_weights(pruned, initial):
    shapes = {name: tensor.shape for name, tensor in pruned.items()}
    settings = Settings.of(initial=initial)
    slim = read_parameters(slim_model(task(), settings, shapes))
    again = read_parameters(slim_model(task(), settings, shapes))
    for name, tensor in slim.items():
        assert tensor.shape == pruned[name].shape
        assert np.array_equal(tensor, again[name])
    assert 0.05 < slim["0.weight"].std() < 1
    assert np.array_equal(slim["1.running_var"], np.ones(8, np.float32))
    other = read_parameters(slim_model(task(), Settings.of(initial=initial, seed=1), shapes))
    assert not np.array_equal(other["0.weight"], slim["0.weight"])


def test_a_layer_that_cannot_begin_anew_is_named():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(8))

        def forward(self, x):
            return x * self.scale

    with pytest.raises(TaskError, match=r"'0' \(Scaled\) became narrower"):
        slim_model(task(build=lambda: nn.Sequential(Scaled())), Settings(), {"0.scale": (4,)})
