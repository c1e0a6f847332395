"""Every kind of net: what is narrowed is rebuilt and computes what it should, the rest is named."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import prunable
import pytest
import torch
from prunable import IMAGE, ROW, SIGNAL, STEPS, TOKENS, Recurrent, image, mlp, normed
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

from frugalfl.errors import ExportError
from frugalfl.modules import read_parameters, write_parameters
from frugalfl.resize import resize
from frugalfl_server.export import plan_pruning, prune, prune_by

f = functools.partial

#: By kind: how it is made, the shape of a row, how many channels stay by the layer that leads them,
#: which layers stay whole, and whether what is left computes what the whole net does with the other
#: channels at zero (else it averages over fewer).
NETS = {
    "residual, depthwise": (prunable.Residual, IMAGE, {"pointwise": 8}, (), True),
    "grouped": (prunable.resnext, (1, 8, 8), {"0": 16, "2": 16}, (), True),
    "depth multiplier": (prunable.multiplied, IMAGE, {"2": 8, "5": 16}, ("0",), True),
    "chunk": (prunable.Chunked, IMAGE, {"stem": 16}, (), True),
    "split": (prunable.Split, IMAGE, {"one": 4, "two": 4}, ("stem",), True),
    "slice by number": (prunable.Sliced, ROW, {}, ("stem",), True),
    "shuffle": (prunable.Shuffled, IMAGE, {"stem": 8, "two": 8}, ("one",), True),
    "squeeze-excite": (prunable.SqueezeExcite, IMAGE, {"excite": 8, "squeeze": 4}, (), True),
    "squeeze-excite, fixed view": (
        f(prunable.SqueezeExcite, by_size=False), IMAGE, {"squeeze": 4}, ("stem", "excite"), True,
    ),
    "heads by hand": (prunable.Heads, STEPS, {}, ("enter", "q", "k", "v", "out"), True),
    "attention": (prunable.Attention, STEPS, {}, ("enter", "attention"), True),
    "transformer": (
        prunable.Encoder, STEPS, {"encoder.layers.0.linear1": 16},
        ("patch", "encoder.layers.0.self_attn", "encoder.layers.0.linear2",
         "encoder.layers.0.norm1", "encoder.layers.0.norm2"), True,
    ),
    "LSTM": (f(Recurrent, nn.LSTM), STEPS, {"middle": 8}, ("enter", "recurrent"), True),
    "LSTM of two layers, both ways": (
        f(Recurrent, nn.LSTM, num_layers=2, bidirectional=True), STEPS, {"middle": 8},
        ("enter", "recurrent"), True,
    ),
    "GRU": (f(Recurrent, nn.GRU), STEPS, {"middle": 8}, ("enter",), True),
    "tied": (prunable.Tied, ROW, {}, ("first", "one", "two"), True),
    "tied embedding": (prunable.TiedEmbedding, TOKENS, {}, ("middle",), True),
    "embedding": (prunable.Embedded, TOKENS, {"middle": 16}, (), True),
    "called twice": (prunable.Twice, IMAGE, {"again": 8, "hidden": 8}, (), True),
    "bare parameters": (prunable.Bare, IMAGE, {"stem": 8}, (), True),
    "norm by hand": (prunable.RootMeanSquare, ROW, {"stem": 8}, (), True),
    "hidden from the tracer": (prunable.Hidden, IMAGE, {}, ("first",), True),
    "fixed reshape": (prunable.Fixed, IMAGE, {}, ("stem",), True),
    "sums of channels": (prunable.Rows, ROW, {}, ("stem",), True),
    "halves by number": (prunable.Halves, ROW, {}, ("stem",), True),
    "flipped": (prunable.Flipped, ROW, {}, ("stem",), True),
    "one head": (prunable.OneHead, STEPS, {"enter": 8, "qkv": 24}, (), True),
    "group norm": (f(image, nn.GroupNorm, 4, 16), IMAGE, {"0": 8}, (), False),
    "instance norm": (f(image, nn.InstanceNorm2d, 16, affine=True), IMAGE, {"0": 8}, (), True),
    "instance norm, running": (
        f(image, nn.InstanceNorm2d, 16, track_running_stats=True), IMAGE, {}, ("0", "1"), True,
    ),
    "batch norm": (f(image, nn.BatchNorm2d, 16), IMAGE, {"0": 8}, (), True),
    "layer norm": (f(mlp, nn.LayerNorm), ROW, {"0": 16}, (), False),
    "layer norm without weights": (
        f(mlp, nn.LayerNorm, elementwise_affine=False), ROW, {}, ("0",), True,
    ),
    "layer norm of images": (f(image, nn.LayerNorm, [16, 6, 6]), IMAGE, {}, ("0", "1"), True),
    "softmax over channels": (f(image, nn.Softmax2d), IMAGE, {}, ("0",), True),
    "PReLU by channel": (f(image, nn.PReLU, 16), IMAGE, {"0": 8}, (), True),
    "transposed": (prunable.upwards, IMAGE, {"0": 8, "2": 4}, (), True),
    "transposed, grouped": (prunable.grouped_upwards, IMAGE, {}, ("0", "2"), True),
    "weight norm": (f(normed, parametrizations.weight_norm), SIGNAL, {"4": 8}, ("0",), True),
    "spectral norm": (f(normed, parametrizations.spectral_norm), SIGNAL, {"4": 8}, ("0",), True),
    "weight norm, old": (f(normed, weight_norm), SIGNAL, {"4": 8}, ("0",), True),
    "spectral norm, old": (f(normed, spectral_norm), SIGNAL, {"4": 8}, ("0",), True),
}  # fmt: skip


def rows(shape):
    chance = torch.Generator().manual_seed(0)
    if shape == TOKENS:
        return torch.randint(0, 20, (3, *shape), generator=chance).float()
    return torch.randn((3, *shape), generator=chance)


def trained(build, seed):
    """Return a module with other weights than those that the plan was tried with."""
    module, chance = build(), np.random.default_rng(seed)
    learned = {name for name, _ in module.named_parameters()}
    weights = read_parameters(module).items()
    write_parameters(
        module,
        {n: chance.normal(0, 0.3, a.shape).astype("f") for n, a in weights if n in learned},
    )
    return module.eval()


def outputs(build, shapes, weights, x):
    module = resize(build(), shapes).eval()
    write_parameters(module, weights)
    with torch.no_grad():
        return module(x)


def masked(weights, kept):
    left = {name: np.zeros_like(array) for name, array in weights.items()}
    for name, array in weights.items():
        sizes = zip(kept[name], array.shape, strict=True)
        places = np.ix_(*(np.arange(size) if one is None else one for one, size in sizes))
        left[name][places] = array[places]
    return left


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", NETS)
def test_what_is_narrowed_computes_what_it_should_and_the_rest_is_named(kind) -> None:
    make, shape, stay, whole, exact = NETS[kind]
    x = rows(shape)
    plan = plan_pruning(make, x, 0.5)
    assert {one.layer: one.stay for one in plan.narrowed} == stay
    assert sorted(name for one in plan.whole for name in one.layers) == sorted(whole)
    assert all(one.why for one in plan.whole)
    for seed in (1, 2):
        module = trained(make, seed)
        weights = read_parameters(module)
        pruned, report = prune_by(plan, module, x, make)
        left = read_parameters(pruned)
        assert {name: array.shape for name, array in left.items()} == plan.shapes
        assert (report.parameters_after < report.parameters_before) == bool(stay)
        with torch.no_grad():
            here = pruned.eval()(x)
        assert torch.equal(outputs(make, report.shapes, left, x), here)
        shapes = {name: array.shape for name, array in weights.items()}
        there = outputs(make, shapes, masked(weights, report.kept), x)
        assert here.shape == there.shape and torch.isfinite(here).all()
        assert torch.allclose(here, there, atol=1e-5 * float(there.abs().max())) == exact


def test_blocks_stay_equal_at_every_ratio() -> None:
    for ratio in (0.1, 0.4, 0.7, 0.99):
        plan = plan_pruning(prunable.resnext, rows((1, 8, 8)), ratio)
        assert all(one.blocks == 8 and one.stay % 8 == 0 < one.stay for one in plan.narrowed)


def test_a_division_that_leaves_no_multiple_of_four_stays_whole() -> None:
    def threes():
        return nn.Sequential(
            nn.Conv2d(3, 12, 3), nn.Conv2d(12, 12, 3, groups=3), nn.Flatten(), nn.Linear(192, 4)
        )

    plan = plan_pruning(threes, rows(IMAGE), 0.5)
    assert not plan.narrowed


def test_the_same_plan_comes_of_any_weights() -> None:
    def zeros():
        module = prunable.Residual()
        for parameter in module.parameters():
            nn.init.zeros_(parameter)
        return module

    assert plan_pruning(zeros, rows(IMAGE), 0.5) == plan_pruning(
        prunable.Residual, rows(IMAGE), 0.5
    )
    pruned, _ = prune(zeros(), rows(IMAGE)[:1], 0.5)
    assert pruned(rows(IMAGE)).shape == (3, 10)


def test_a_plan_leaves_random_numbers_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    plan_pruning(prunable.Residual, rows(IMAGE), 0.5)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_that_takes_other_rows_is_one_line() -> None:
    with warnings.catch_warnings(), pytest.raises(ExportError, match="cannot be pruned") as told:
        plan_pruning(prunable.Residual, rows(ROW), 0.5)
    assert "\n" not in str(told.value)
