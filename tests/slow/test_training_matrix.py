"""Every net, every optimiser, every plan: compiled programs in LiteRT beside PyTorch itself.

One step is compared by `check_program`, as before a program is shipped. A local epoch runs in the
trainer that devices run; beside it, a loop as one writes it, with PyTorch's own optimisers.

Adam divides each gradient by its own size. Where that is next to zero, rounding decides the step,
in PyTorch as in LiteRT: there, twice the distance of PyTorch's own epoch from the same one in
float64 is allowed besides.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from tests.own_optimizer import InCoordinates, own_optimizer
from torch import nn
from zoo import NETS

from frugalfl.blocks import Layout
from frugalfl.modules import read_parameters
from frugalfl.program import Program
from frugalfl.settings import Settings
from frugalfl.subspace import Subspace
from frugalfl.task import Examples
from frugalfl_client.training.batches import batches
from frugalfl_client.training.litert import LiteRTTrainer
from frugalfl_server.compiler import Adam, Optimizer, Sgd, check_program, trace_training

pytestmark = pytest.mark.slow

STEP, EPOCH = 1e-6, 1e-5
#: The last batch of the epoch has 3 rows.
BATCH, ROWS = 8, 27
SEED, MU = (3, 1), 0.5
PLANS = {"head": 1, "last two": 2, "full": 0}
RULES: dict[str, Optimizer] = {
    "sgd": Sgd(),
    "momentum": Sgd(momentum=0.9),
    "nesterov": Sgd(momentum=0.9, nesterov=True),
    "adam": Adam(),
    "adamw": Adam(weight_decay=1e-2, decoupled=True),
    "proximal": Sgd(momentum=0.9, proximal=True),
    "weight decay": Sgd(weight_decay=1e-2),
    "clipped": Sgd(clip_norm=0.1),
    "accumulated": Sgd(momentum=0.9, accumulate=2),
}


def strided() -> nn.Module:
    """Strides, groups, dilation, overlapping pools: what the zoo's own CNN has not."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(8, 12, 3, padding=2, dilation=2, groups=4), nn.ReLU6(),
        nn.Conv2d(12, 12, 3, padding=1, groups=12), nn.MaxPool2d(3, 2, 1), nn.Flatten(),
        nn.Linear(48, 10),
    )  # fmt: skip


NAMES = ("mlp", "strided", "digits-cnn", "ds-cnn", "residual", "sensor-1d", "autoencoder")


class Case:
    """A net with some rows, a plan and an optimiser."""

    def __init__(self, name: str, plan: str, rule: str, dimension: int = 0) -> None:
        task = NETS["digits-cnn" if name == "strided" else name].task
        rows = task.rows_of(0, 1)
        chosen = np.random.default_rng(0).choice(len(rows), ROWS, replace=False)
        self.rows = Examples(rows.x[chosen], rows.y[chosen])
        torch.manual_seed(1)
        self.module = strided() if name == "strided" else task.new_model()
        self.loss, self.rule = task.loss, RULES[rule]
        self.parameters = read_parameters(self.module)
        self.layout = Layout.of(self.parameters)
        self.planned = self.layout.everything[-PLANS[plan] :]
        self.names = self.layout.names(self.planned)
        self.rate = 1e-3 if isinstance(self.rule, Adam) else 0.05
        self.mu = MU if self.rule.proximal else 0.0
        shapes = {name: self.parameters[name].shape for name in self.names}
        self.subspace = Subspace(shapes, dimension, seed=2) if dimension else None

    def compiled(self) -> tuple[Program, float]:
        """Return the program, and how far a step is from PyTorch's."""
        how = {"loss": self.loss, "optimizer": self.rule, "planned": self.names}
        program = trace_training(
            self.module, **how, batch=BATCH, input_shape=self.rows.x.shape[1:],
            target_shape=self.rows.y.shape[1:], signatures=("train",),
            coordinates=self.subspace.counts if self.subspace else None,
        ).convert()  # fmt: skip
        return program, check_program(program, self.module, **how).worst

    def by_litert(self, program) -> dict[str, np.ndarray]:
        trainer = LiteRTTrainer(program, Settings.of(local_epochs=1, batch_size=BATCH, prune=0.0))
        return trainer.train(
            self.parameters, self.planned, self.rows, self.rate, SEED, proximal_mu=self.mu,
            subspace=self.subspace,
        ).update  # fmt: skip

    def by_pytorch(self, dtype: torch.dtype = torch.float32) -> dict[str, np.ndarray]:
        module = copy.deepcopy(self.module).to(dtype).train()
        for number, block in enumerate(self.layout.blocks):
            if number not in self.planned:
                module.get_submodule(block.name).eval()
        learnt = dict(module.named_parameters())
        trained = [one for name, one in learnt.items() if name in self.names]
        begin = [one.detach().clone() for one in trained]
        loss = nn.functional.cross_entropy if isinstance(self.loss, str) else self.loss
        optimizer, waiting, seen = self._optimizer(trained), 0, 0
        for chosen in batches(ROWS, BATCH, np.random.default_rng(SEED)):
            x, y = torch.from_numpy(self.rows.x[chosen]), torch.from_numpy(self.rows.y[chosen])
            y = y.to(dtype) if y.is_floating_point() else y
            (loss(module(x.to(dtype)), y) * len(chosen)).backward()
            waiting, seen = waiting + 1, seen + len(chosen)
            if waiting < self.rule.accumulate:
                continue
            for one in trained:
                one.grad /= seen
            if self.rule.clip_norm:
                nn.utils.clip_grad_norm_(trained, self.rule.clip_norm)
            for one, old in zip(trained, begin, strict=True):
                one.grad += self.mu * (one.detach() - old)
            optimizer.step()
            module.zero_grad()
            waiting, seen = 0, 0
        after = module.state_dict()
        return {name: after[name].numpy() - self.parameters[name] for name in self.names}

    def _optimizer(self, trained):
        if self.subspace is None:
            return own_optimizer(self.rule, trained, self.rate)
        learnt = [name for name in self.names if name in self.subspace.counts]
        signs = [
            torch.from_numpy(self.subspace.signs(name)).to(trained[0].dtype) for name in learnt
        ]
        return InCoordinates(self.rule, trained, signs, self.rate)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("name", NAMES)
def test_a_step_and_an_epoch_are_pytorchs(name: str, plan: str, rule: str, record_property) -> None:
    compare(Case(name, plan, rule), record_property)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", NAMES)
def test_so_they_are_in_a_subspace(name: str, rule: str, record_property) -> None:
    compare(Case(name, "full", rule, dimension=200), record_property)


def compare(case: Case, record_property) -> None:
    program, step = case.compiled()
    found, expected = case.by_litert(program), case.by_pytorch()
    assert found.keys() == expected.keys()
    own = 0.0
    if isinstance(case.rule, Adam):
        own = max(distances(expected, case.by_pytorch(torch.float64)).values())
    differences = distances(found, expected)
    largest = max(float(np.abs(one).max()) for one in expected.values())
    worst = max(differences, key=lambda one: differences[one])
    for key, value in {"step": step, "epoch": differences[worst], "own": own}.items():
        record_property(key, value)
    assert largest > 1e-3  # it did train
    assert step < STEP
    assert differences[worst] < EPOCH + 2 * own, worst


def distances(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> dict[str, float]:
    """Return the largest difference of each tensor's entries."""
    return {name: float(np.abs(one[name] - value).max()) for name, value in other.items()}
