"""A residual CNN on handwritten digits: two blocks around which the input is added."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from zoo.data import DIGITS_TEST_ROWS, digits, task_of
from zoo.net import Net

if TYPE_CHECKING:
    import torch


def model(channels: int = 16) -> torch.nn.Module:
    """Build the net; rows have shape ``(1, 8, 8)``.

    Args:
        channels: Of every convolution: 16 for 9,690 parameters, 32 for 37,802.
    """
    from torch import nn

    residual = _residual()
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(),
        residual(channels), nn.MaxPool2d(2), residual(channels), nn.AvgPool2d(4),
        nn.Flatten(), nn.Linear(channels, 10),
    )  # fmt: skip


def net(channels: int) -> Net:
    """Return the net of another width."""
    task = task_of(f"residual-{channels}", lambda: model(channels), digits, DIGITS_TEST_ROWS)
    return Net(task, metric="accuracy", epochs=8)


@lru_cache(maxsize=1)
def _residual() -> type[torch.nn.Module]:
    from torch import Tensor, nn

    class Residual(nn.Module):
        """Two convolutions, and their input added before the last activation."""

        def __init__(self, channels: int) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels), nn.ReLU(),
                nn.Conv2d(channels, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels),
            )  # fmt: skip
            self.relu = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.relu(x + self.body(x))

    return Residual


NET = Net(task_of("residual", model, digits, DIGITS_TEST_ROWS), metric="accuracy", epochs=8)
