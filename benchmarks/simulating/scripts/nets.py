"""The nets in PyTorch, and one local epoch as a user writes it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from measured import BATCH, LEARNING_RATE, Workload
from torch import nn


def cnn(_: Workload) -> nn.Sequential:
    """Return the CNN of simulations/digits, 38,282 parameters."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
        nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def mlp(workload: Workload) -> nn.Sequential:
    """Return the first MLP."""
    net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    net.load_state_dict({name: torch.from_numpy(value) for name, value in workload.first.items()})
    return net


class OwnMLP(nn.Module):
    """The MLP as somebody may write it: no layer that a simulator knows by its class."""

    def __init__(self, workload: Workload) -> None:
        super().__init__()
        first = [nn.Parameter(torch.from_numpy(value)) for value in workload.first.values()]
        self.inner, self.inner_offset, self.outer, self.outer_offset = first

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs, with a gate written out in place of a ReLU layer."""
        hidden = x @ self.inner.T + self.inner_offset
        return torch.where(hidden > 0, hidden, 0.0) @ self.outer.T + self.outer_offset


#: By name; each makes the first model of a workload.
NETS = {"mlp": mlp, "own": OwnMLP, "cnn": cnn}


@torch.no_grad()
def accuracy_of(net: nn.Module, parameters: Sequence[torch.Tensor], workload: Workload) -> float:
    """Return the share of all images that a net with these parameters names right."""
    for parameter, value in zip(net.parameters(), parameters, strict=True):
        parameter.copy_(value)
    outputs = net(torch.from_numpy(workload.x))
    return float((outputs.argmax(1).numpy() == workload.y).mean())


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
