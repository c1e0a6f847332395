"""The MLP in PyTorch, and one local epoch as a user writes it."""

from __future__ import annotations

import torch
from measured import BATCH, LEARNING_RATE, Workload
from torch import nn


def mlp(workload: Workload) -> nn.Sequential:
    """Return the first model."""
    net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    net.load_state_dict({name: torch.from_numpy(value) for name, value in workload.first.items()})
    return net


def tensors_of(workload: Workload) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return every client's images and classes."""
    pairs = (workload.data_of(client) for client in range(workload.clients))
    return [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in pairs]


class Trainer:
    """Trains one client after the other with one net and one optimizer."""

    def __init__(self, net: nn.Module) -> None:
        self._net = net
        self._parameters = list(net.parameters())
        self._optimizer = torch.optim.SGD(self._parameters, LEARNING_RATE)

    def train(
        self, first: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor
    ) -> list[torch.Tensor]:
        """Train one local epoch from a model on; return the parameters, which are moved later."""
        with torch.no_grad():
            for parameter, value in zip(self._parameters, first, strict=True):
                parameter.copy_(value)
        order = torch.randperm(len(y))
        for start in range(0, len(y), BATCH):
            rows = order[start : start + BATCH]
            self._optimizer.zero_grad()
            nn.functional.cross_entropy(self._net(x[rows]), y[rows]).backward()
            self._optimizer.step()
        return self._parameters
