"""Local training of some blocks only."""

import numpy as np
import pytest
import torch

from frugalfl.modules import read_parameters
from frugalfl.settings import Settings
from frugalfl.task import Examples, Task
from frugalfl_client.training.pytorch import TorchTrainer

RNG = np.random.default_rng(0)
ROWS = Examples(RNG.normal(size=(24, 6)).astype(np.float32), RNG.integers(0, 3, 24))


class Backward(torch.autograd.Function):
    """Counts how often a gradient comes by."""

    passed = 0

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        Backward.passed += 1
        return gradient


class Watch(torch.nn.Module):
    def forward(self, x):
        return Backward.apply(x)


def model():
    return torch.nn.Sequential(
        torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), Watch(), torch.nn.Linear(8, 8),
        torch.nn.ReLU(), torch.nn.Linear(8, 3),
    )  # fmt: skip


def trained(planned, private="", held_private=None, **settings):
    Backward.passed = 0
    torch.manual_seed(0)
    task = Task("t", model=model, client_data=lambda *_: ROWS, public_data=lambda: None)
    trainer = TorchTrainer(
        task, Settings.of(private=private, prune=0.0, local_epochs=2, **settings)
    )
    whole = read_parameters(model())
    shared = {
        name: whole[name]
        for name in whole
        if name in trainer.layout.names(trainer.layout.everything)
    }
    result = trainer.train(shared, planned, ROWS, 0.1, (1,), held_private)
    return trainer, result


@pytest.mark.parametrize(
    ("planned", "blocks", "passes"),
    [
        ((0, 1, 2, 3), {"0", "1", "3", "5"}, True),
        ((3,), {"5"}, False),
        ((2, 3), {"3", "5"}, False),
        ((1,), {"1"}, True),
        ((0,), {"0"}, True),
    ],
)
def test_frozen_blocks_get_no_gradient_and_nothing_flows_below_the_first_trained_one(
    planned, blocks, passes
):
    trainer, result = trained(planned)
    assert {name.split(".")[0] for name in result.update} == blocks
    assert all(np.abs(step).max() > 0 for step in result.update.values())
    assert (Backward.passed > 0) == passes
    frozen = {
        name: parameter.grad
        for name, parameter in trainer._module.named_parameters()
        if name.split(".")[0] not in blocks
    }
    assert all(gradient is None for gradient in frozen.values())


def test_private_blocks_are_trained_whatever_the_plan_names_and_are_not_in_the_update():
    trainer, result = trained((0,), private="5")
    assert [block.name for block in trainer.layout.blocks] == ["0", "1", "3"]
    assert {name.split(".")[0] for name in result.update} == {"0"}
    assert set(result.private) == {"5.weight", "5.bias"}
    _, again = trained((0,), private="5")
    assert np.array_equal(again.private["5.weight"], result.private["5.weight"])
    _, onwards = trained((0,), private="5", held_private=result.private)
    assert not np.array_equal(onwards.private["5.weight"], result.private["5.weight"])


def test_private_blocks_begin_as_the_seed_says():
    starts = [
        trained((0,), private="5", learning_rate=0.1, seed=seed)[0]._private for seed in (1, 1, 2)
    ]
    assert np.array_equal(starts[0]["5.weight"], starts[1]["5.weight"])
    assert not np.array_equal(starts[0]["5.weight"], starts[2]["5.weight"])
