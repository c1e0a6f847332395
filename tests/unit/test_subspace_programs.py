"""Which programs a run in a subspace needs: the server compiles these, and approves them."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from frugalfl.errors import ExportError, UsageError
from frugalfl.modules import read_parameters
from frugalfl.program_file import unpack
from frugalfl.settings import Settings
from frugalfl.task import Examples, Task
from frugalfl_server.cohort.training_programs import TrainingPrograms, trained_within
from frugalfl_server.serve.approve import _purposes


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 9), nn.Linear(9, 3))


def settings_of(refresh: str, **changes) -> Settings:
    return Settings.of(refresh=refresh, trainer="litert", batch_size=4, prune=0.0, **changes)


def test_one_program_serves_all_folds_and_has_the_subspaces_counts() -> None:
    settings = settings_of("subspace(30, fold 2)")
    rows = Examples(np.zeros((8, 6), np.float32), np.arange(8) % 3)
    task = Task("t", model=model, client_data=lambda *_: rows, public_data=lambda: None)
    compiled = []
    programs = TrainingPrograms(task, settings, rows, compiled.append)
    module = model()
    programs.follow(module)
    plan, seed = settings.wire.subspace, settings.run.seed
    names, counts = trained_within(plan, read_parameters(module), seed)
    before = programs.program_for(names, False, counts)
    for fold in range(3):
        subspace = plan.of_model(read_parameters(module), seed, fold)
        sent = programs.for_training(
            7, list(subspace.shapes), False, tuple(subspace.counts.items())
        )
        assert sent.digest == before.digest
    assert len(compiled) == 1
    program = unpack(before.file, before.digest)
    assert program.coordinates == tuple(subspace.counts.values())
    assert sum(program.coordinates) == 30
    assert programs.for_calibration(7).digest == before.digest  # nothing else is compiled for it
    with pytest.raises(ExportError, match="cannot follow 0 coordinates"):
        programs.program_for(names, False, counts[:-1])


@pytest.mark.parametrize(
    ("refresh", "strategy", "names"),
    [
        ("full", "fedavg", ["all blocks"]),
        ("subspace(30)", "fedavg", ["subspace(30)", "all blocks"]),
        (
            "subspace(30, last(1))",
            "fedprox(0.1)",
            ["subspace(30, last(1)), proximal", "all blocks"],
        ),
    ],
)
def test_what_is_approved_is_what_rounds_ask_for(refresh, strategy, names) -> None:
    settings, module = settings_of(refresh, strategy=strategy), model()
    purposes = list(_purposes(settings, module))
    assert [one.name for one in purposes] == names
    plan = settings.wire.subspace
    if plan is not None:
        within = plan.of_model(read_parameters(module), settings.run.seed, 0)
        assert purposes[0].trained == tuple(within.shapes)
        assert purposes[0].coordinates == tuple(within.counts.items())
        assert purposes[0].proximal == ("proximal" in names[0])
    assert purposes[-1].coordinates == ()


def test_a_subspace_of_blocks_that_the_model_has_not_is_refused() -> None:
    with pytest.raises(UsageError):
        list(_purposes(settings_of("subspace(30, last(9))"), model()))
