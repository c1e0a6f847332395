"""What pruning cannot do is said before the first round, and costs no rounds after the last."""

import json

import pytest
import torch

from frugalfl.modules import read_parameters, write_parameters
from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl_server.phases.dry_run import dry_run
from frugalfl_server.phases.prune import check_pruning, plan_for, prune_as_planned
from frugalfl_server.run.app_directory import importable

from .conftest import DIGITS, ROOT, frugalfl

CASES = ROOT / "tests" / "cases"
SMALL = ("clients=3", "clients-per-round=2", "rounds=1", "recover-rounds=1", "local-epochs=1")

#: By case: layers that stay whole, and which share of the parameters is left.
PLANS = {
    "08-weight-norm-prune": ({"0"}, 1.0),
    "09-transformer-prune": ({"patch", "encoder.layers.0.self_attn"}, 0.8),
    "10-tied-weights": ({"a", "b"}, 1.0),
    "11-grouped-not-pruned": (set(), 0.4),
    "12-groupnorm": (set(), 0.5),
}


def task_of(folder):
    with importable(folder):
        return load_task("task:task")


@pytest.mark.parametrize("case", PLANS)
def test_a_case_is_pruned_as_it_was_planned_whatever_its_weights(case):
    whole, share = PLANS[case]
    task, settings = task_of(CASES / case), Settings()
    rows = task.public_rows().test
    plan = plan_for(task, settings, rows, settings.export.prune)
    assert whole <= {name for one in plan.whole for name in one.layers}
    module = task.new_model()
    torch.manual_seed(1)
    trained = {name: torch.randn(a.shape).numpy() for name, a in read_parameters(module).items()}
    write_parameters(module, trained)
    pruned, report = prune_as_planned(plan, task, module, rows)
    assert report.parameters_after == pytest.approx(share * report.parameters_before, rel=0.12)
    assert (report.parameters_after < report.parameters_before) == bool(plan.narrowed)
    assert pruned.eval()(torch.from_numpy(rows.x[:2])).shape == (2, 4)


def test_the_demo_has_nothing_to_say():
    task = task_of(DIGITS)
    assert dry_run(task, Settings(), task.public_rows().test, [check_pruning]) == []


@pytest.mark.parametrize("settings", [Settings.of(prune=0.0), Settings.of(prune=0.0, private="1")])
def test_without_pruning_nothing_is_tried(settings):
    assert list(check_pruning(task_of(CASES / "10-tied-weights"), settings, rows=None)) == []


def test_a_budget_is_tried_with_the_narrowest_model():
    task = task_of(CASES / "10-tied-weights")
    said = list(check_pruning(task, Settings.of(flash="64KiB"), task.public_rows().test))
    assert "a ('a.weight' is tied" in said[0] and "no round recovers" in said[1]


def test_what_cannot_be_pruned_is_not_recovered(tmp_path):
    result = frugalfl("simulate", CASES / "10-tied-weights", *SMALL, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    lines = (result.stdout + result.stderr).splitlines()
    told = next(number for number, line in enumerate(lines) if "left whole: " in line)
    assert told < next(number for number, line in enumerate(lines) if " 1/1 " in line)
    assert "nothing is pruned and no round recovers" in lines[told + 1]
    run = tmp_path / "runs" / "latest"
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["rounds"], summary["recover_rounds"]) == (1, 0)
    assert {name for one in summary["left_whole"] for name in one["layers"]} == {"a", "b"}
    assert json.loads((run / "pruning.json").read_text())["narrowed"] == []
