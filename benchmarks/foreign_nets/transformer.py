"""A transformer encoder (Vaswani and others 2017) over sixteen patches of a series."""

import torch
from torch import nn
from waves import task_of

PATCHES, VALUES, WIDTH, HEADS, CLASSES = 16, 8, 32, 4, 4


class Encoder(nn.Module):
    """Patches and their places, one layer of attention, and a classifier on the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(VALUES, WIDTH)
        self.place = nn.Parameter(torch.randn(1, PATCHES, WIDTH) * 0.02)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 2 * WIDTH, 0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1)
        self.classifier = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return a score for each class."""
        seen = self.encoder(self.embed(x) + self.place)
        scores: torch.Tensor = self.classifier(seen.mean(1))
        return scores


task = task_of("transformer", Encoder, (PATCHES, VALUES), CLASSES)
