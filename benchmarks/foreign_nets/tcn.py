"""A temporal convolutional network (Bai, Kolter and Koltun 2018): dilated causal convolutions."""

import torch
from torch import nn
from waves import task_of

CHANNELS, SIZE, CLASSES = (16, 16, 24), 3, 4


class Block(nn.Module):
    """Two causal convolutions beside a shortcut; what lies in the future is cut off."""

    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__()
        self.ahead = (SIZE - 1) * dilation
        options = {"padding": self.ahead, "dilation": dilation}
        self.first = nn.Conv1d(inputs, outputs, SIZE, **options)
        self.second = nn.Conv1d(outputs, outputs, SIZE, **options)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv1d(inputs, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add both ways."""
        y = torch.relu(self.first(x)[:, :, : -self.ahead].contiguous())
        y = torch.relu(self.second(y)[:, :, : -self.ahead].contiguous())
        return torch.relu(y + self.shortcut(x))


class Tcn(nn.Module):
    """Blocks with ever longer views, and a classifier on the last step."""

    def __init__(self) -> None:
        super().__init__()
        pairs = zip((3, *CHANNELS), CHANNELS, strict=False)
        self.blocks = nn.Sequential(
            *[Block(inputs, outputs, 2**depth) for depth, (inputs, outputs) in enumerate(pairs)]
        )
        self.classifier = nn.Linear(CHANNELS[-1], CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return a score for each class."""
        scores: torch.Tensor = self.classifier(self.blocks(x)[:, :, -1])
        return scores


task = task_of("tcn", Tcn, (3, 48), CLASSES)
