"""Advice to the author of a model, without converting anything."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from authoring import TWINS, built, table_row
from torch import nn

from frugalfl.errors import ExportError
from frugalfl_server.export import lint
from frugalfl_server.export.lint import RULES

DOCUMENT = Path(__file__).parents[2] / "docs" / "authoring.md"


def rules_that_fire(model, shape):
    return {advice.rule for advice in lint(model, shape)}


@pytest.mark.parametrize("name", TWINS)
def test_a_rule_speaks_of_the_wrong_way_only(name):
    twins = TWINS[name]
    assert name in rules_that_fire(built(twins.wrong), twins.shape)
    assert rules_that_fire(built(twins.right), twins.right_shape or twins.shape) == set()


def test_every_rule_is_proven_and_documented():
    assert list(TWINS) == [rule.name for rule in RULES]
    lines = DOCUMENT.read_text().splitlines()
    assert [line for line in lines if line.startswith("| `")][-len(RULES) :] == [
        table_row(rule) for rule in RULES
    ]


class Clamped(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Sequential(nn.Linear(8, 8), nn.GELU())])

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x.clamp(0, 1)


def test_advice_names_the_module_and_the_authors_line():
    gelu, clamp = lint(Clamped(), (8,))
    source = Path(__file__).read_text().splitlines()
    assert gelu.where == "layers.0.1 (GELU)"
    for advice, text in ((gelu, "x = layer(x)"), (clamp, "x.clamp(0, 1)")):
        file, line = advice.source.rsplit(":", 1)
        assert Path(file).name == "test_lint.py"
        assert text in source[int(line) - 1]
        assert str(advice).count("\n") == 0
        assert str(advice).startswith("stops: ")


def test_the_worst_comes_first():
    model = nn.Sequential(nn.Linear(8, 8), nn.PReLU(), nn.GELU(), nn.Softmax(1))
    assert [one.severity for one in lint(model, (8,))] == ["stops", "costs", "hint"]


def test_a_line_that_runs_often_is_told_of_once():
    model = Clamped()
    model.layers.extend(nn.Sequential(nn.Linear(8, 8), nn.GELU()) for _ in range(3))
    assert [one.rule for one in lint(model, (8,))] == ["activation", "clamp"]


def test_the_module_is_left_as_it_was():
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout()).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    lint(model, (8,))
    assert all(one.training for one in model.modules())
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "size", "fires"),
    [
        (3, 2, 1, 16, True), (3, 2, 1, 15, False), (3, 1, 1, 16, False), (5, 1, 2, 16, False),
        (5, 1, 1, 16, True), (3, 1, 0, 16, False), (2, 2, 0, 16, False), (3, 1, "same", 16, False),
    ],
)  # fmt: skip
def test_only_padding_that_is_not_same_is_separate(kernel, stride, padding, size, fires):
    model = nn.Conv2d(1, 2, kernel, stride, padding)
    assert ("separate-pad" in rules_that_fire(model, (1, size, size))) is fires


def test_the_arena_is_told_in_bytes():
    model = nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.AvgPool2d(15), nn.Flatten())
    (advice,) = lint(model, (1, 32, 32))
    assert advice.where == "0 (Conv2d)"
    assert f"{32 * 32 + 30 * 30 * 16:,} B of activations at once" in advice.what


def test_a_model_that_does_not_run_says_where():
    class Wrong(nn.Module):
        def forward(self, x):
            return x @ torch.zeros(9, 2)

    with pytest.raises(ExportError, match=r"shape \(1, 8\): RuntimeError: .*test_lint\.py:\d+\)"):
        lint(Wrong(), (8,))


def test_lint_needs_no_converter():
    code = """if True:
        import sys
        from torch import nn
        from frugalfl_server.export import lint
        lint(nn.Sequential(nn.Conv1d(3, 4, 3), nn.BatchNorm1d(4), nn.GELU()), (3, 8))
        sys.exit(bool({"litert_torch", "ai_edge_litert", "torch._dynamo"} & set(sys.modules)))
    """
    subprocess.run([sys.executable, "-c", code], check=True)
