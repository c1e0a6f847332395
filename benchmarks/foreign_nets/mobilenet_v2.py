"""MobileNetV2, 0.35 as wide, for 48x48 images (Sandler and others 2018)."""

import torch
from torch import nn
from waves import task_of

#: Expansion, output channels, repeats and stride of each stage.
STAGES = [(1, 8, 1, 1), (6, 8, 2, 2), (6, 16, 3, 2), (6, 24, 4, 2), (6, 32, 3, 1), (6, 56, 3, 2),
          (6, 112, 1, 1)]  # fmt: skip
LAST = 1280


def convolution(inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1):  # type: ignore[no-untyped-def]
    """Return a convolution with batch norm and ReLU6."""
    layer = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU6(inplace=True))


class InvertedResidual(nn.Module):
    """Widen, filter each channel, and narrow; beside a shortcut if nothing changes its shape."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        widen = [convolution(inputs, wide, 1)] if expansion > 1 else []
        narrow = [nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*widen, convolution(wide, wide, 3, stride, wide), *narrow)
        self.use_shortcut = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the shortcut, if there is one."""
        y: torch.Tensor = self.conv(x)
        return x + y if self.use_shortcut else y


class MobileNetV2(nn.Module):
    """Stages, a wide layer, and a classifier on its mean."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        layers, channels = [convolution(3, 16, 3, 2)], 16
        for expansion, outputs, repeats, stride in STAGES:
            for step in range(repeats):
                block = InvertedResidual(channels, outputs, stride if step == 0 else 1, expansion)
                layers.append(block)
                channels = outputs
        self.features = nn.Sequential(*layers, convolution(channels, LAST, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(LAST, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return a score for each class."""
        pooled = nn.functional.adaptive_avg_pool2d(self.features(x), (1, 1))
        scores: torch.Tensor = self.classifier(torch.flatten(pooled, 1))
        return scores


def model():  # type: ignore[no-untyped-def]
    """Build it for four classes."""
    return MobileNetV2(4)


task = task_of("mobilenet-v2", model, (3, 48, 48), 4)
