"""Laws of the traced training step: what is traced does what PyTorch's autograd does.

No conversion is needed for these, so that many small networks can be tried.
"""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.own_optimizer import InCoordinates, own_optimizer
from torch import nn

from frugalfl.blocks import Layout
from frugalfl.modules import read_parameters
from frugalfl.subspace import Subspace
from frugalfl_server.compiler import Adam, Optimizer, Sgd
from frugalfl_server.compiler.plan import plan_of
from frugalfl_server.compiler.signatures import functions
from frugalfl_server.compiler.trace import traced

TOLERANCE = 1e-5
ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid, nn.Tanh, nn.LeakyReLU, nn.SiLU,
    lambda: nn.Hardtanh(-0.7, 0.9),
)  # fmt: skip
LOSSES = {
    "cross_entropy": "cross_entropy",
    "smooth": nn.CrossEntropyLoss(label_smoothing=0.1),
    "class weights": nn.CrossEntropyLoss(weight=torch.tensor([0.5, 2.0, 1.0, 1.5])),
    "both": nn.CrossEntropyLoss(torch.tensor([0.5, 2.0, 1.0, 1.5]), label_smoothing=0.2),
}
VALUE_LOSSES = {
    "mse": nn.functional.mse_loss,
    "l1": nn.functional.l1_loss,
    "huber": nn.HuberLoss(delta=0.3),
    "smooth l1": nn.SmoothL1Loss(beta=0.4),
    "bce": nn.BCEWithLogitsLoss(),
    "bce, positives weigh more": nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 2, 3, 4])),
    "written out": lambda outputs, targets: ((outputs - targets) ** 2).mean(),
    "two terms": lambda outputs, targets: (
        nn.functional.mse_loss(outputs, targets) + 0.1 * nn.functional.l1_loss(outputs, targets)
    ),
}


class Residual(nn.Sequential):
    """Layers around which the input is added."""

    def forward(self, x):
        return x + super().forward(x)


@st.composite
def networks(draw) -> tuple[nn.Module, tuple[int, ...]]:
    """A small CNN, of images or of series, and the shape of a row."""
    flat = draw(st.booleans())
    size = draw(st.integers(6, 9))
    channels = draw(st.integers(1, 3))
    shape = (channels, size) if flat else (channels, size, size)
    conv = nn.Conv1d if flat else nn.Conv2d
    norm = nn.BatchNorm1d if flat else nn.BatchNorm2d
    layers: list[nn.Module] = []
    for _ in range(draw(st.integers(1, 3))):
        groups = draw(st.sampled_from([1, channels]))
        wide = groups * draw(st.integers(1, 3)) if groups > 1 else draw(st.sampled_from([2, 4]))
        kernel = draw(st.integers(1, 3))
        layers.append(
            conv(
                channels, wide, kernel, stride=draw(st.integers(1, 2)),
                padding=draw(st.integers(0, kernel // 2)), dilation=draw(st.integers(1, 2)),
                groups=groups, bias=draw(st.booleans()),
            )
        )  # fmt: skip
        channels = wide
        if draw(st.booleans()):
            layers.append(norm(channels))
        layers.append(draw(st.sampled_from(ACTIVATIONS))())
        if draw(st.booleans()):
            layers.append(Residual(conv(channels, channels, 3, padding=1), norm(channels)))
    pool = draw(st.sampled_from(["max", "max, overlapping", "average", "average, inside", "none"]))
    rank = "1d" if flat else "2d"
    if pool.startswith("max"):
        overlap = {"stride": 1, "padding": 1} if "," in pool else {}
        layers.append(getattr(nn, f"MaxPool{rank}")(2, **overlap))
    elif pool.startswith("average"):
        inside = {"stride": 1, "padding": 1, "count_include_pad": False} if "," in pool else {}
        layers.append(getattr(nn, f"AvgPool{rank}")(2, **inside))
    layers += [getattr(nn, f"AdaptiveAvgPool{rank}")(1), nn.Flatten()]
    for wide in draw(st.lists(st.integers(1, 6), max_size=2)):
        layers += [nn.Linear(channels, wide), draw(st.sampled_from(ACTIVATIONS))()]
        channels = wide
    return nn.Sequential(*layers, nn.Linear(channels, 4)), shape


@st.composite
def rules(draw) -> Optimizer:
    """Any optimiser; Adam's eps keeps it from dividing rounding by rounding."""
    common = {
        "weight_decay": draw(st.sampled_from([0.0, 0.03])),
        "clip_norm": draw(st.sampled_from([0.0, 0.2])),
        "proximal": draw(st.booleans()),
        "accumulate": draw(st.integers(1, 2)),
    }
    if draw(st.booleans()):
        beta = st.floats(0.1, 0.99)
        return Adam(
            betas=(draw(beta), draw(beta)), eps=1e-2, decoupled=draw(st.booleans()), **common
        )
    momentum = draw(st.sampled_from([0.0, 0.5, 0.9]))
    return Sgd(momentum=momentum, nesterov=bool(momentum) and draw(st.booleans()), **common)


def built(network: nn.Module, shape: tuple[int, ...]) -> bool:
    """Whether a network has any pixels left at its end."""
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(2, *shape))
    except RuntimeError:
        return False
    return True


def gradients_differ(network, shape, loss, target_shape=(), planned=None, rows=4, batch=5) -> float:
    """Trace one step of SGD on a padded batch; return how far it is from autograd's on the rows.

    Float32 rounds: batch norm over two nearly equal rows makes much of it. So both are held against
    float64, and what PyTorch's own float32 is off (four times that) is no fault of the trace.
    """
    tensors = read_parameters(network)
    plan = plan_of(
        network, loss=loss, optimizer=Sgd(momentum=0.9), planned=planned or list(tensors),
        batch=batch, input_shape=shape, target_shape=target_shape,
    )  # fmt: skip
    function, inputs = functions(plan)["train"]
    rng = torch.Generator().manual_seed(1)
    inputs["x"] = torch.randn(batch, *shape, generator=rng)
    inputs["w"] = (torch.arange(batch) < rows).float()
    found = traced(function, inputs)(**inputs)

    plain = nn.functional.cross_entropy if isinstance(loss, str) else loss
    x, y = inputs["x"][:rows], inputs["y"][:rows]
    y = y if target_shape else y.long()
    exact_loss = deepcopy(plain).double() if isinstance(plain, nn.Module) else plain
    exact_module = deepcopy(plan.module).double()
    exact_y = y.double() if target_shape else y
    exact = autograd_step(plan, exact_module, exact_loss, x.double(), exact_y)
    rounded = autograd_step(plan, plan.module, plain, x, y)

    largest = max(float(one.abs().max()) for name, one in exact.items() if name.startswith("s"))
    errors = []
    for name, one in exact.items():
        own = float(one.abs().max())
        scale = max(own, 1) if name == "loss" else max(largest if name[0] == "s" else own, 1e-3)
        off = float((found[name] - one).abs().detach().max())
        of_pytorch = float((rounded[name] - one).abs().max())
        errors.append((off - 4 * of_pytorch) / scale)
    return float(np.max(errors))


def autograd_step(plan, module, loss, x, y) -> dict[str, torch.Tensor]:
    """Loss, gradients and statistics of one step by autograd, named as the program's outputs."""
    value = loss(module(x), y)
    parameters = dict(module.named_parameters())
    gradients = torch.autograd.grad(value, [parameters[name] for name in plan.trained])
    after = module.state_dict()
    return {
        "loss": value.detach(),
        **{f"s{i}": gradient for i, gradient in enumerate(gradients)},
        **{f"p{i}": after[name] for i, name in enumerate(plan.shapes) if name in plan.statistics},
    }


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(networks(), st.sampled_from(sorted(LOSSES)), st.integers(0, 4), st.integers(2, 5))
def test_a_traced_step_has_the_gradients_of_autograd_whatever_network_plan_and_rows(
    made, loss, last, rows
) -> None:
    network, shape = made
    if built(network, shape):
        planned = last_blocks(network, last)
        error = gradients_differ(network, shape, LOSSES[loss], planned=planned, rows=rows)
        assert error < TOLERANCE


def last_blocks(network: nn.Module, last: int) -> list[str]:
    """Names of the tensors of so many blocks; 0: of all."""
    layout = Layout.of(read_parameters(network))
    return layout.names(layout.everything[-last:])


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(rules(), st.integers(0, 2), st.sampled_from(sorted(LOSSES)), st.none() | st.integers(1, 60))
def test_traced_steps_follow_each_other_as_with_pytorchs_own_optimisers(
    rule, last, loss, dimension
) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv1d(2, 4, 3, groups=2), nn.BatchNorm1d(4), nn.Tanh(), nn.Flatten(), nn.Linear(16, 6),
        nn.SiLU(), nn.Linear(6, 4),
    )  # fmt: skip
    batch, rate, mu = 5, 0.05, 0.5
    planned = last_blocks(network, last)
    space = None if dimension is None else subspace_of(network, planned, dimension)
    plan = plan_of(
        network, loss=LOSSES[loss], optimizer=rule, planned=planned, batch=batch,
        input_shape=(2, 6), target_shape=(), coordinates=None if space is None else space.counts,
    )  # fmt: skip
    function, examples = functions(plan)["train"]
    step = traced(function, examples)
    inputs = {name: value.clone() for name, value in examples.items()}  # the model's own move
    inputs |= {"learning_rate": torch.tensor(rate)}
    if rule.proximal:
        inputs |= {"proximal_mu": torch.tensor(mu)}

    plain = nn.functional.cross_entropy if loss == "cross_entropy" else LOSSES[loss]
    parameters = dict(plan.module.named_parameters())
    trained = [parameters[name] for name in plan.trained]
    begin = [one.detach().clone() for one in trained]
    if space is None:
        optimizer = own_optimizer(rule, trained, rate)
    else:
        signs = [torch.from_numpy(space.signs(name)) for name in plan.trained]
        inputs |= {f"q{i}": one for i, one in enumerate(signs)}
        optimizer = InCoordinates(rule, trained, signs, rate)
    total, seen = [torch.zeros_like(one) for one in trained], 0
    rng = torch.Generator().manual_seed(2)
    for number, rows in enumerate((5, 3, 5, 2)):
        x = torch.randn(batch, 2, 6, generator=rng)
        y = torch.randint(0, 4, (batch,), generator=rng)
        inputs |= {"x": x, "y": y.int(), "w": (torch.arange(batch) < rows).float()}
        found = step(**inputs)
        inputs |= {name: value for name, value in found.items() if name != "loss"}

        value = plain(plan.module(x[:rows]), y[:rows])
        assert float(found["loss"]) == pytest.approx(value.item(), rel=1e-4)
        for whole, part in zip(total, torch.autograd.grad(value, trained), strict=True):
            whole.add_(part, alpha=rows)
        seen += rows
        if (number + 1) % rule.accumulate:
            continue
        for one, whole in zip(trained, total, strict=True):
            one.grad = whole / seen
        if rule.clip_norm:
            nn.utils.clip_grad_norm_(trained, rule.clip_norm)
        for one, old in zip(trained, begin, strict=True):
            one.grad += mu * rule.proximal * (one.detach() - old)
        optimizer.step()
        total, seen = [torch.zeros_like(one) for one in trained], 0
    after = plan.module.state_dict()
    for i, name in enumerate(plan.shapes):
        if f"p{i}" in found:
            assert found[f"p{i}"].numpy() == pytest.approx(after[name].numpy(), abs=1e-5), name
    assert any(not torch.equal(one, old) for one, old in zip(trained, begin, strict=True))


def subspace_of(network: nn.Module, planned: list[str], dimension: int) -> Subspace:
    """A subspace that the planned tensors follow."""
    shapes = {name: one.shape for name, one in read_parameters(network).items() if name in planned}
    return Subspace(shapes, dimension, seed=5)


@pytest.mark.parametrize("loss", sorted(VALUE_LOSSES))
def test_losses_of_values_ignore_padded_rows_and_have_the_gradients_of_autograd(loss) -> None:
    network = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))
    assert gradients_differ(network, (6,), VALUE_LOSSES[loss], (4,)) < TOLERANCE


@pytest.mark.parametrize("rows", [1, 3, 5])
def test_a_frozen_batch_norm_keeps_its_statistics_and_a_planned_one_takes_only_real_rows(
    rows: int,
) -> None:
    network = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3),
        nn.Flatten(), nn.Linear(27, 4),
    )  # fmt: skip
    network[1].running_var.fill_(4.0)
    planned = [name for name in read_parameters(network) if name.startswith(("3.", "4.", "6."))]
    assert gradients_differ(network, (2, 5, 5), "cross_entropy", (), planned, rows) < TOLERANCE


def test_overlapping_and_tied_maxima_get_gradients_where_pytorch_puts_them() -> None:
    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix, self.end = nn.Conv2d(2, 2, 1), nn.Linear(18, 4)
            self.mix.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])[..., None, None]

        def forward(self, x):
            # Rounded so that most windows have several equal maxima.
            steps = self.mix((x * 2).detach().round())
            return self.end(nn.functional.max_pool2d(steps, 3, 2, 1).flatten(1))

    assert gradients_differ(Steps(), (2, 6, 6), "cross_entropy") < TOLERANCE
