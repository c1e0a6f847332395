"""DS-CNN for keywords (Zhang, Suda, Lai and Chandra, "Hello Edge", 2017), as in MLPerf Tiny."""

from torch import nn
from waves import task_of

CHANNELS, BLOCKS, KEYWORDS = 64, 4, 12


def block():  # type: ignore[no-untyped-def]
    """Return a depthwise and a pointwise convolution, each with its batch norm."""
    return [
        nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=CHANNELS, bias=False),
        nn.BatchNorm2d(CHANNELS), nn.ReLU(),
        nn.Conv2d(CHANNELS, CHANNELS, 1, bias=False), nn.BatchNorm2d(CHANNELS), nn.ReLU(),
    ]  # fmt: skip


def model():  # type: ignore[no-untyped-def]
    """Build it for 49 frames of 10 MFCC coefficients."""
    first = [
        nn.ZeroPad2d((1, 1, 4, 5)), nn.Conv2d(1, CHANNELS, (10, 4), stride=2, bias=False),
        nn.BatchNorm2d(CHANNELS), nn.ReLU(), nn.Dropout(0.2),
    ]  # fmt: skip
    blocks = [layer for _ in range(BLOCKS) for layer in block()]
    last = [nn.Dropout(0.4), nn.AvgPool2d((25, 5)), nn.Flatten(), nn.Linear(CHANNELS, KEYWORDS)]
    return nn.Sequential(*first, *blocks, *last)


task = task_of("ds-cnn", model, (1, 49, 10), KEYWORDS)
