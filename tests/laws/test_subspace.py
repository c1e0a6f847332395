"""Laws of random subspaces: coordinates to weights and back, and steps within one."""

from math import prod

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from frugalfl.blocks import snap
from frugalfl.optimizers import LocalOptimizer
from frugalfl.subspace import COORDINATES, STATISTICS, Subspace
from frugalfl_client.training.optimizers import LocalSteps

shapes = st.dictionaries(
    st.sampled_from(["0.weight", "0.bias", "1.running_mean", "2.weight", "3.weight"]),
    st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple),
    min_size=1,
).filter(lambda found: any("running" not in name for name in found))


@given(shapes, st.integers(1, 80), st.integers(0, 2**31), st.integers(0, 50))
@settings(deadline=None, max_examples=60)
def test_coordinates_come_back_from_the_weights_they_stand_for(found, dimension, seed, fold):
    subspace = Subspace(found, dimension, seed, fold)
    rng = np.random.default_rng(seed)
    coordinates = {
        name: rng.integers(-9, 10, tensor.shape).astype(np.float32) / 4
        for name, tensor in subspace.zeros().items()
    }
    changes = subspace.expand(coordinates)
    assert {name: tensor.shape for name, tensor in changes.items()} == dict(found)
    back = subspace.reduce(changes)
    for name, tensor in coordinates.items():
        assert np.array_equal(back[name], tensor)


@given(shapes, st.integers(1, 80), st.integers(0, 2**31))
@settings(deadline=None, max_examples=60)
def test_every_weight_tensor_has_coordinates_and_no_more_than_entries(found, dimension, seed):
    subspace = Subspace(found, dimension, seed)
    sizes = {name: prod(shape) for name, shape in found.items() if "running" not in name}
    assert subspace.counts.keys() == sizes.keys()
    assert all(1 <= count <= sizes[name] for name, count in subspace.counts.items())
    most = max(dimension, len(sizes))
    assert sum(subspace.counts.values()) <= most + len(sizes)
    if dimension <= max(sizes.values()):
        assert sum(subspace.counts.values()) >= min(dimension, sum(sizes.values()))


@given(shapes, st.integers(1, 80), st.integers(0, 2**31))
@settings(deadline=None, max_examples=40)
def test_multiples_of_the_finest_step_keep_weights_on_the_lattice(found, dimension, seed):
    subspace = Subspace(found, dimension, seed)
    rng = np.random.default_rng(seed)
    coordinates = {
        name: rng.integers(-500, 500, tensor.shape).astype(np.float32) * np.float32(subspace.finest)
        for name, tensor in subspace.zeros().items()
    }
    for change in subspace.expand(coordinates).values():
        assert np.array_equal(snap(change), change)


def test_other_folds_and_seeds_draw_other_signs_that_are_balanced() -> None:
    found = {"0.weight": (64, 100), "1.weight": (64, 100)}
    drawn = [
        Subspace(found, 50, seed, fold).signs(name)
        for seed in (1, 2) for fold in (0, 1) for name in found
    ]  # fmt: skip
    for place, one in enumerate(drawn):
        assert abs(one.mean()) < 0.05
        assert all(abs((one * other).mean()) < 0.05 for other in drawn[:place])


def test_statistics_are_followed_exactly() -> None:
    subspace = Subspace({"0.weight": (4, 4), "1.running_var": (3,)}, 4, 7)
    changes = {"0.weight": np.zeros((4, 4), np.float32), "1.running_var": np.float32([1, 2, 3])}
    reduced = subspace.reduce(changes)
    assert reduced[STATISTICS].tolist() == [1, 2, 3]
    assert not reduced[COORDINATES].any()
    assert subspace.expand(reduced)["1.running_var"].tolist() == [1, 2, 3]


def test_an_empty_tensor_follows_no_coordinate_and_stays_in_the_model() -> None:
    subspace = Subspace({"0.weight": (0, 3), "1.weight": (4, 2)}, 5, 7)
    assert subspace.counts == {"1.weight": 5}
    changes = subspace.expand({COORDINATES: np.ones(5, np.float32)})
    assert {name: one.shape for name, one in changes.items()} == dict(subspace.shapes)
    assert subspace.reduce(changes)[COORDINATES].tolist() == [1] * 5


@given(shapes, st.integers(1, 80), st.integers(0, 2**31))
@settings(deadline=None, max_examples=30)
def test_coordinates_of_one_tensor_can_be_held_still(found, dimension, seed) -> None:
    subspace = Subspace(found, dimension, seed)
    ones = {name: tensor + 1 for name, tensor in subspace.zeros().items()}
    for held in subspace.counts:
        before, after = subspace.expand(ones), subspace.expand(subspace.still(ones, [held]))
        assert not after[held].any()
        assert all(np.array_equal(before[name], after[name]) for name in found if name != held)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@given(st.integers(0, 2**16), st.integers(1, 12))
@settings(deadline=None, max_examples=10)
def test_steps_are_those_of_autograd_through_the_coordinates(momentum, seed, dimension) -> None:
    torch.manual_seed(seed)
    layer = nn.Linear(7, 3)
    found = {name: tuple(p.shape) for name, p in layer.named_parameters()}
    subspace = Subspace(found, dimension, seed)
    signs = {name: torch.from_numpy(subspace.signs(name)) for name in found}
    x, y = torch.randn(5, 7), torch.randint(0, 3, (5,))

    begin = {name: p.detach().clone() for name, p in layer.named_parameters()}
    z = {name: torch.zeros(count, requires_grad=True) for name, count in subspace.counts.items()}
    reference = torch.optim.SGD(z.values(), lr=0.1, momentum=momentum)

    def weights() -> dict[str, torch.Tensor]:
        return {
            name: begin[name]
            + (signs[name] * z[name]).flatten()[: begin[name].numel()].view_as(begin[name])
            for name in z
        }

    own = LocalSteps(
        layer.parameters(), 0.1, LocalOptimizer("sgd", momentum=momentum),
        signs={id(p): signs[name] for name, p in layer.named_parameters()},
    )  # fmt: skip
    for _ in range(3):
        reference.zero_grad()
        nn.functional.cross_entropy(
            torch.func.functional_call(layer, weights(), (x,)), y
        ).backward()
        reference.step()
        nn.functional.cross_entropy(layer(x), y).backward()
        own.step()
    for name, parameter in layer.named_parameters():
        assert parameter.detach().numpy() == pytest.approx(
            weights()[name].detach().numpy(), abs=1e-6
        )
