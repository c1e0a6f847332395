"""Our SGD is PyTorch's SGD."""

import pytest
import torch

from frugalfl_client.training.sgd import Sgd


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_same_bits_as_torch(momentum):
    def run(make):
        torch.manual_seed(0)
        module = torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3))
        module[0].bias.requires_grad_(False)
        optimizer = make(module)
        for _ in range(6):
            module(torch.randn(4, 7)).square().sum().backward()
            optimizer.step()
            if isinstance(optimizer, torch.optim.Optimizer):
                optimizer.zero_grad()
        return [parameter.detach().clone() for parameter in module.parameters()]

    ours = run(lambda m: Sgd(m.parameters(), 0.05, momentum))
    theirs = run(lambda m: torch.optim.SGD(m.parameters(), lr=0.05, momentum=momentum))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_the_proximal_term_is_the_gradient_of_half_mu_times_the_squared_distance():
    def run(step):
        torch.manual_seed(0)
        module = torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3))
        step(module)
        return torch.cat([parameter.detach().ravel() for parameter in module.parameters()])

    def ours(module):
        optimizer = Sgd(module.parameters(), 0.05, 0.9, proximal_mu=0.7)
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
