"""Resizing: a client builds the pruned model from the task's, with PyTorch alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from frugalfl.errors import TaskError
from frugalfl.resize import resize
from frugalfl_server.export import prune

IMAGE = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
ROW = torch.rand(4, 12, generator=torch.Generator().manual_seed(1))


class Residual(nn.Module):
    """Convolutions, batch norm, a depthwise convolution and a residual around them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.PReLU(16))
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.pointwise = nn.Conv2d(16, 16, 1)
        self.head = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = x + torch.relu(self.pointwise(self.depthwise(x)))
        return self.head(x.mean((2, 3)))


class Tied(nn.Module):
    """One weight under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.second = nn.Linear(8, 8)
        self.second.weight = self.first.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 32), nn.LayerNorm(32), nn.ReLU(), nn.Linear(32, 5))


def autoencoder() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.GroupNorm(2, 16), nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1, groups=2), nn.ReLU(),
        nn.ConvTranspose2d(16, 8, 2, stride=2), nn.InstanceNorm2d(8, affine=True), nn.ReLU(),
        nn.Conv2d(8, 3, 3, padding=1),
    )  # fmt: skip


def flattened() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 4))


@pytest.mark.parametrize(
    ("build", "x"),
    [(Residual, IMAGE), (mlp, ROW), (autoencoder, IMAGE), (flattened, IMAGE)],
    ids=["residual", "mlp", "autoencoder", "flattened"],
)
def test_the_pruned_state_gives_the_same_outputs(
    build: Callable[[], nn.Module], x: torch.Tensor
) -> None:
    model = build()
    for _ in range(3):
        model(torch.rand_like(x))  # running statistics other than 0 and 1
    pruned, report = prune(model, x[:1], 0.5)
    assert report.parameters_after < 0.7 * report.parameters_before
    rebuilt = resize(build(), report.shapes)
    rebuilt.load_state_dict(pruned.state_dict())
    assert torch.equal(rebuilt.eval()(x), pruned.eval()(x))
    rebuilt.train()(x).sum().backward()
    assert all(parameter.grad is not None for parameter in rebuilt.parameters())


def test_a_resized_model_says_its_own_sizes() -> None:
    _, report = prune(Residual(), IMAGE[:1], 0.5)
    model = resize(Residual(), report.shapes)
    assert repr(model.get_submodule("depthwise")).startswith("Conv2d(8, 8, ")
    assert repr(model.get_submodule("stem.1")).startswith("BatchNorm2d(8, ")
    assert repr(model.get_submodule("head")).startswith("Linear(in_features=8, out_features=10")


def test_the_same_shapes_keep_the_values() -> None:
    model = Residual()
    before = model.head.weight.detach().clone()
    resize(model, shapes_of(model))
    assert torch.equal(model.head.weight, before)


def test_tied_weights_stay_one() -> None:
    shapes = {name: (4,) * len(shape) for name, shape in shapes_of(Tied()).items()}
    model = resize(Tied(), shapes)
    assert isinstance(model, Tied)
    assert model.first.weight is model.second.weight
    assert model(torch.ones(1, 4)).shape == (1, 4)


def test_a_frozen_layer_stays_frozen() -> None:
    model = mlp()
    model.get_parameter("0.weight").requires_grad_(False)
    resize(model, shapes_of(mlp()) | {"0.weight": (16, 12)})
    assert not model.get_parameter("0.weight").requires_grad


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"9.weight": (1,)}, "the model has no '9.weight'"),
        ({"0.weight": (32, 12, 1)}, "'0.weight' is (32, 12)"),
        ({"0.weight": (64, 12)}, "cannot shrink to (64, 12)"),
        ({"0.weight": (0, 12)}, "cannot shrink to (0, 12)"),
        ({"0.weight": None}, "no shape came for '0.weight'"),
    ],
)
def test_shapes_of_another_model_are_refused(
    change: dict[str, tuple[int, ...] | None], says: str
) -> None:
    shapes = {name: shape for name, shape in (shapes_of(mlp()) | change).items() if shape}
    model = mlp()
    with pytest.raises(TaskError) as caught:
        resize(model, shapes)
    assert says in str(caught.value)
    assert shapes_of(model) == shapes_of(mlp())


def test_a_layer_with_sizes_of_its_own_is_refused() -> None:
    model = nn.LSTM(8, 8)
    shapes = {name: (16, *shape[1:]) for name, shape in shapes_of(model).items()}
    with pytest.raises(TaskError, match="pruned LSTM cannot be rebuilt"):
        resize(model, shapes)


def shapes_of(model: nn.Module) -> dict[str, tuple[int, ...]]:
    state = model.state_dict().items()
    return {name: tuple(tensor.shape) for name, tensor in state if tensor.is_floating_point()}
