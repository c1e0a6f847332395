"""MobileNetV1, a quarter as wide, for 96x96 images (Howard and others 2017), as in MLPerf Tiny."""

from torch import nn
from waves import task_of

#: Output channels and stride of each separable convolution.
LAYERS = [
    (16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1),
]  # fmt: skip


def convolution(inputs: int, outputs: int, size: int, stride: int, groups: int = 1):  # type: ignore[no-untyped-def]
    """Return a convolution with batch norm and ReLU."""
    layer = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return [layer, nn.BatchNorm2d(outputs), nn.ReLU()]


def model():  # type: ignore[no-untyped-def]
    """Build it for two classes: a person, or none."""
    layers, channels = convolution(3, 8, 3, 2), 8
    for outputs, stride in LAYERS:
        layers += convolution(channels, channels, 3, stride, channels)
        layers += convolution(channels, outputs, 1, 1)
        channels = outputs
    return nn.Sequential(*layers, nn.AvgPool2d(3), nn.Flatten(), nn.Linear(channels, 2))


task = task_of("mobilenet-v1", model, (3, 96, 96), 2)
