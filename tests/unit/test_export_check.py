"""What would stop an export is found before the first round, by trying it."""

import numpy as np
import pytest
import torch
from cases.layers import IMAGE, LAYERS
from torch import nn

from frugalfl import Examples, PublicData, Task
from frugalfl.errors import ExportError, UsageError
from frugalfl.settings import Settings
from frugalfl_server.export import lint
from frugalfl_server.export.plain import is_plain, unusual
from frugalfl_server.phases.check_export import check_export
from frugalfl_server.phases.dry_run import dry_run
from frugalfl_server.phases.program_check import check_program


def rows(shape, count=8):
    x = np.random.default_rng(0).normal(size=(count, *shape)).astype(np.float32)
    return Examples(x, np.arange(count) % 4)


def checked(make, shape, **settings):
    given = rows(shape)
    task = Task(
        "t", model=make, client_data=lambda *_: given, public_data=lambda: PublicData(given)
    )
    return dry_run(task, Settings.of(prune=0.0, **settings), given, [check_export])


def test_a_fault_is_named_with_its_place_what_to_write_instead_and_how_to_go_on():
    case = LAYERS["circular"]
    with pytest.raises(ExportError) as error:
        checked(case.make, case.shape)
    said = str(error.value)
    assert "\n" not in said and "0 (Conv2d)" in said and 'padding_mode="reflect"' in said
    assert said.endswith("or set export=false to go on without a model file")
    assert checked(case.make, case.shape, export=False) == []


def test_operators_that_are_several_in_the_file_can_be_calibrated_by_clients():
    def make():
        return nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.GroupNorm(4, 8), nn.SiLU(), nn.Conv2d(8, 8, 1), nn.PReLU(8),
            nn.ConvTranspose2d(8, 8, 2, 2, groups=2), nn.Hardsigmoid(), nn.Conv2d(8, 8, 1),
            nn.AvgPool2d(3, 2, ceil_mode=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(8, 4),
        )  # fmt: skip

    assert not is_plain(make(), IMAGE)
    assert checked(make, IMAGE, calibration="federated") == []


def test_a_training_step_that_cannot_be_compiled_is_found_if_no_client_has_pytorch():
    def make():
        return nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.AlphaDropout(0.1), nn.Linear(8, 4))

    given = rows(IMAGE)
    task = Task(
        "t", model=make, client_data=lambda *_: given, public_data=lambda: PublicData(given)
    )
    with pytest.raises(ExportError, match=r"trainer is litert.*alpha_dropout.*write nn\.Dropout"):
        dry_run(task, Settings.of(trainer="litert"), given, [check_program])
    assert dry_run(task, Settings.of(trainer="auto"), given, [check_program]) == []


def test_clients_without_pytorch_count_right_classes_only_and_that_is_said_first():
    x = rows((4,)).x

    def warned(y, **public):
        task = Task(
            "t", model=lambda: nn.Linear(4, 3), client_data=lambda *_: Examples(x, y),
            loss=nn.functional.mse_loss if y.ndim > 1 else "cross_entropy", **public,
        )  # fmt: skip
        return dry_run(task, Settings.of(trainer="litert"), Examples(x, y), [check_program])

    values, classes = x[:, :3], np.arange(len(x)) % 3
    (line,) = warned(values)
    assert "measures of this task are not known" in line and "public_data()" in line
    assert warned(classes) == []
    assert warned(values, public_data=lambda: PublicData(Examples(x, values))) == []


def test_a_model_that_is_noisy_as_int8_is_told_of_before_it_is_trained():
    class Far(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 3)

        def forward(self, x):
            return self.b(1000 + torch.sigmoid(self.a(x))) - self.b(torch.full((1, 8), 1000.0))

    (line,) = checked(Far, (4,))
    assert line.startswith("int8: the untrained model's outputs have a signal-to-noise ratio of")
    assert "the model (Far), test_export_check.py:" in line.replace("tests/unit/", "")


def test_an_einsum_with_a_constant_matrix_is_exact_enough():
    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            spread = torch.linspace(0.1, 2, 8)
            self.w = nn.Parameter(
                torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(0)) * spread
            )
            self.out = nn.Linear(16, 3)

        def forward(self, x):
            return self.out(torch.relu(torch.einsum("bhi,hij->bhj", x, self.w)).flatten(1))

    assert checked(Product, (2, 6)) == []


def test_a_budget_is_about_a_file_that_export_false_does_not_make():
    with pytest.raises(UsageError, match="leave them out with export = false"):
        Settings.of(export=False, flash="64KiB")


@pytest.mark.parametrize("name", [name for name, case in LAYERS.items() if case.rule])
def test_what_stops_is_known_to_lint_too(name):
    case = LAYERS[name]
    stops = [one for one in lint(case.make(), case.shape) if one.severity == "stops"]
    assert [one.rule for one in stops] == [case.rule]
    assert stops[0].where.startswith(case.where)


@pytest.mark.parametrize("name", [name for name, case in LAYERS.items() if not case.rule])
def test_what_works_is_not_said_to_stop(name):
    case = LAYERS[name]
    assert not [one for one in lint(case.make(), case.shape) if one.severity == "stops"]


@pytest.mark.parametrize("name", LAYERS)
def test_nothing_out_of_the_ordinary_is_taken_for_plain(name):
    case = LAYERS[name]
    assert not is_plain(case.make(), case.shape)
    if case.where:
        assert any(one.startswith(case.where) for one in unusual(case.make(), case.shape))
