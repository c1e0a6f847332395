"""A depthwise separable CNN on handwritten digits, 16-32-64 channels: 4,106 parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.data import DIGITS_TEST_ROWS, digits, task_of
from zoo.net import Net

if TYPE_CHECKING:
    import torch


def model() -> torch.nn.Module:
    """Build the net; rows have shape ``(1, 8, 8)``."""
    from torch import nn

    def normed(convolution: nn.Conv2d) -> list[nn.Module]:
        return [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU()]

    return nn.Sequential(
        *normed(nn.Conv2d(1, 16, 3, padding=1, bias=False)),
        # Padded on one side: the converter merges that into the convolution.
        nn.ZeroPad2d((0, 1, 0, 1)),
        *normed(nn.Conv2d(16, 16, 3, stride=2, groups=16, bias=False)),
        *normed(nn.Conv2d(16, 32, 1, bias=False)),
        *normed(nn.Conv2d(32, 32, 3, padding=1, groups=32, bias=False)),
        *normed(nn.Conv2d(32, 64, 1, bias=False)),
        nn.AvgPool2d(4), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


NET = Net(task_of("ds-cnn", model, digits, DIGITS_TEST_ROWS), metric="accuracy", epochs=12)
