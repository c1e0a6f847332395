"""The largest pruned model that fits a budget, really converted and run."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from frugalfl.errors import ExportError, OverBudgetError
from frugalfl_server.export import DeviceBudget, DeviceCost, fit, measure, prune
from frugalfl_server.export.budget_gates import budget_gates
from frugalfl_server.export.gates import reasons

pytest.importorskip("tflite_micro")
EXAMPLE = torch.zeros(1, 24)


def mlp() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 4)
    )


@pytest.fixture(scope="module")
def line() -> list[DeviceCost]:
    """Every model that pruning with one ratio makes of the MLP, largest first."""
    kept, costs = None, []
    for step in range(200):
        pruned, report = prune(mlp(), EXAMPLE, step / 200)
        if report.shapes != kept:
            kept = report.shapes
            costs.append(measure(pruned, (24,)))
    return costs


@pytest.mark.slow  # measures dozens of models; test_budget_of_a_device.py has a run with limits
def test_smaller_models_never_cost_more(line: list[DeviceCost]) -> None:
    assert len(line) == 7
    for figure in ("file_bytes", "arena_bytes", "macs"):
        values = [getattr(cost, figure) for cost in line]
        assert values == sorted(values, reverse=True)


@pytest.mark.slow  # measures dozens of models; test_budget_of_a_device.py has a run with limits
def test_the_search_finds_the_largest_that_is_within_every_limit(line: list[DeviceCost]) -> None:
    arena = line[1].arena_bytes
    assert arena is not None
    # The flash of one model to the byte, and one operation less than it does: the next one.
    budget = DeviceBudget(None, line[3].file_bytes, arena, line[3].macs - 1)
    expected = next(cost for cost in line if not reasons(budget_gates(cost, budget)))
    said: list[str] = []
    found = fit(mlp(), EXAMPLE, budget, said.append)
    assert found.cost == expected == line[4]
    _, report = prune(mlp(), EXAMPLE, found.ratio)
    assert report.parameters_after == found.report.parameters_after
    assert said[0].endswith("too large") and said[1].endswith("fits")
    assert len(said) <= 5  # seven models, bisected


@pytest.mark.slow  # measures dozens of models; test_budget_of_a_device.py has a run with limits
def test_the_weights_do_not_matter(line: list[DeviceCost]) -> None:
    other = mlp()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.normal_()
    assert measure(other, (24,)) == line[0]


@pytest.mark.slow  # measures dozens of models; test_budget_of_a_device.py has a run with limits
def test_an_impossible_budget_says_by_how_much(line: list[DeviceCost]) -> None:
    smallest = line[-1]
    budget = DeviceBudget(flash_bytes=1000, macs=smallest.macs - 1)
    with pytest.raises(OverBudgetError) as caught:
        fit(mlp(), EXAMPLE, budget)
    said = str(caught.value)
    needed, short = smallest.file_bytes, smallest.file_bytes - 1000
    assert f"the smallest model, 4 channels a layer, needs {needed:,} B of flash" in said
    assert f"1,000 B were given, {short:,} B too few" in said
    assert re.search(r"multiply-accumulates; [\d,]+ were given, 1 too few", said)
    assert "\n" not in said


@pytest.mark.slow  # measures dozens of models; test_budget_of_a_device.py has a run with limits
def test_a_target_takes_its_runtime_from_the_flash(line: list[DeviceCost]) -> None:
    budget = DeviceBudget.of("cortex-m3", flash="43KiB")
    found = fit(mlp(), EXAMPLE, budget)
    assert found.cost.file_bytes + budget.runtime_bytes <= 43 * 1024
    with pytest.raises(OverBudgetError, match=r"42,496 B TFLite-Micro\); 40,960 B were given"):
        fit(mlp(), EXAMPLE, DeviceBudget.of("cortex-m3", flash="40KiB"))


def test_weights_that_are_nan_are_named() -> None:
    broken = mlp()
    with torch.no_grad():
        broken.get_parameter("2.weight")[0, 0] = float("nan")
    with pytest.raises(ExportError, match=r"'2\.weight' holds NaN"):
        fit(broken, EXAMPLE, DeviceBudget(flash_bytes=1 << 20))


def test_ram_that_cannot_be_measured_is_not_passed_off_as_enough() -> None:
    unknown = DeviceCost(file_bytes=5000, arena_bytes=None, macs=100)
    assert not reasons(budget_gates(unknown, DeviceBudget(flash_bytes=5000, macs=100)))
    with pytest.raises(ExportError, match="RAM cannot be measured here"):
        budget_gates(unknown, DeviceBudget(ram_bytes=1 << 20))
