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
