"""Our optimisers are PyTorch's, in the same bits; settings that they cannot be are explained."""

import pytest
import torch

from frugalfl.errors import UsageError
from frugalfl.optimizers import parse_optimizer
from frugalfl.settings import Settings
from frugalfl_client.training.optimizers import LocalSteps

CLIP = 1.5
THEIRS = {
    "sgd": lambda p, decay: torch.optim.SGD(p, 0.05, momentum=0.9, weight_decay=decay),
    "nesterov": lambda p, decay: torch.optim.SGD(
        p, 0.05, momentum=0.9, nesterov=True, weight_decay=decay
    ),
    "adam(0.8, 0.99)": lambda p, decay: torch.optim.Adam(
        p, 0.05, betas=(0.8, 0.99), weight_decay=decay
    ),
    "adamw": lambda p, decay: torch.optim.AdamW(p, 0.05, weight_decay=decay),
}


def small():
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3))
    module[0].bias.requires_grad_(False)
    return module


def after_steps(make, clip):
    """Make six steps; clipping is ours, or done by hand before a step of torch's."""
    module = small()
    optimizer, norms = make(module), []
    for _ in range(6):
        module(torch.randn(4, 7)).square().sum().backward()
        if isinstance(optimizer, torch.optim.Optimizer):
            if clip:
                norms.append(torch.nn.utils.clip_grad_norm_(module.parameters(), clip))
            optimizer.step()
            optimizer.zero_grad()
        else:
            optimizer.step()
    assert not clip or max(norms, default=9) > CLIP
    return [parameter.detach().clone() for parameter in module.parameters()]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_same_bits_as_torch(momentum):
    rule = parse_optimizer("sgd", momentum)
    ours = after_steps(lambda m: LocalSteps(m.parameters(), 0.05, rule), 0)
    theirs = after_steps(lambda m: torch.optim.SGD(m.parameters(), lr=0.05, momentum=momentum), 0)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("clip", [0.0, CLIP])
@pytest.mark.parametrize("name", THEIRS)
def test_every_optimizer_has_torchs_bits_with_weight_decay_and_clipping(name, clip):
    rule = parse_optimizer(name, 0.9, 0.03, clip)
    ours = after_steps(lambda m: LocalSteps(m.parameters(), 0.05, rule), clip)
    theirs = after_steps(lambda m: THEIRS[name](m.parameters(), 0.03), clip)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_the_proximal_term_is_the_gradient_of_half_mu_times_the_squared_distance():
    def run(step):
        torch.manual_seed(0)
        module = torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3))
        step(module)
        return torch.cat([parameter.detach().ravel() for parameter in module.parameters()])

    def ours(module):
        rule = parse_optimizer("sgd", 0.9)
        optimizer = LocalSteps(module.parameters(), 0.05, rule, proximal_mu=0.7)
        for _ in range(6):
            module(torch.randn(4, 7)).square().sum().backward()
            optimizer.step()

    def theirs(module):
        starts = [parameter.detach().clone() for parameter in module.parameters()]
        optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)
        for _ in range(6):
            loss = module(torch.randn(4, 7)).square().sum()
            for parameter, start in zip(module.parameters(), starts, strict=True):
                loss = loss + 0.7 / 2 * (parameter - start).square().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    torch.testing.assert_close(run(ours), run(theirs))
    assert not torch.allclose(run(ours), run(lambda module: None))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"optimizer": "adma"}, "did you mean 'adam'"),
        ({"optimizer": "sgd(0.9)"}, "takes 0 arguments"),
        ({"optimizer": "adam(0.9)"}, "takes 2 arguments"),
        ({"optimizer": "adam(0.9, 1)"}, "above 0 and below 1"),
        ({"optimizer": "adamw"}, "set weight-decay"),
        ({"optimizer": "nesterov", "momentum": 0.0}, "set momentum above 0"),
        ({"weight-decay": -0.1}, "weight-decay is -0.1; it must be 0 or more"),
        ({"clip-norm": float("inf")}, "clip-norm is inf"),
        ({"optimizer": "adam", "strategy": "qfedavg(0.2)"}, "qfedavg.*set optimizer = sgd"),
    ],
)
def test_an_optimizer_that_cannot_be_is_explained(config, message):
    with pytest.raises(UsageError, match=message):
        Settings.of(config)
