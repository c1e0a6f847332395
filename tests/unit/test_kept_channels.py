"""The lists of kept channels lead from the whole model to the very one that pruning made."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from frugalfl.blocks import Layout
from frugalfl.codec.kept_channels import write_kept
from frugalfl.errors import ExportError
from frugalfl.kept import take
from frugalfl.modules import read_parameters
from frugalfl_server.export import prune
from frugalfl_server.export.kept_entries import kept_entries

IMAGE = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
ROW = torch.zeros(1, 12)


class Joined(nn.Module):
    """Two convolutions side by side, a norm over both, and the image flattened."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.second = nn.Conv2d(16, 12, 3, padding=1)
        self.norm = nn.BatchNorm2d(28)
        self.head = nn.Linear(28 * 64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return self.head(self.norm(torch.cat([x, self.second(x)], 1)).flatten(1))


class Groups(nn.Module):
    """Grouped, transposed and depthwise convolutions, and a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.grouped = nn.Conv2d(16, 16, 3, padding=1, groups=4)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.slope = nn.PReLU(16)
        self.up = nn.ConvTranspose2d(16, 8, 2, 2)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = x + self.depthwise(self.slope(self.grouped(x)))
        return self.head(self.up(x).mean((2, 3)))


class Tied(nn.Module):
    """Two layers share their weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(12, 16), nn.Linear(16, 3)
        self.one, self.two = nn.Linear(16, 16), nn.Linear(16, 16)
        self.two.weight = self.one.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.two(torch.relu(self.one(torch.relu(self.first(x)))))))


def flattening() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(576, 32), nn.Linear(32, 10)
    )


@pytest.mark.parametrize("ratio", [0.0, 0.5, 0.7])
@pytest.mark.parametrize(
    ("make", "example"), [(flattening, IMAGE), (Joined, IMAGE), (Groups, IMAGE), (Tied, ROW)]
)
def test_cutting_by_the_lists_gives_the_pruned_model(make, example, ratio) -> None:
    torch.manual_seed(1)
    module = make().eval()
    pruned, report = prune(module, example, ratio)
    cut = take(read_parameters(module), report.kept)
    assert cut.keys() == read_parameters(pruned).keys()
    for name, tensor in read_parameters(pruned).items():
        np.testing.assert_array_equal(cut[name], tensor)


def test_lists_of_a_flattened_image_cost_no_more_than_its_channels() -> None:
    module = flattening()
    _, report = prune(module, IMAGE, 0.5)
    assert len(write_kept(report.kept, Layout.of(read_parameters(module)))) <= (16 + 32) / 8 + 5


def test_the_model_that_was_given_stays_as_it_was() -> None:
    module = flattening().requires_grad_(False)
    before = read_parameters(module)
    prune(module, IMAGE, 0.5)
    for name, tensor in read_parameters(module).items():
        np.testing.assert_array_equal(tensor, before[name])


def test_a_cut_that_is_not_along_axes_has_no_lists() -> None:
    places = torch.arange(12.0, dtype=torch.float64).view(3, 4)
    lists = kept_entries("w", places[1:, [0, 2, 3]], (3, 4))
    assert [list(one) for one in lists if one is not None] == [[1, 2], [0, 2, 3]]
    for left in (places.flip(0), places + 0.5, places[:0], places.flatten(), places * 2):
        with pytest.raises(ExportError, match="'w' cannot be cut"):
            kept_entries("w", left, (3, 4))


def test_large_convolutions_of_one_by_one_have_lists_too() -> None:
    places = torch.arange(256.0 * 128, dtype=torch.float64).view(256, 128, 1, 1)
    rows, columns, *rest = kept_entries("w", places[::2, 64:], (256, 128, 1, 1))
    assert rows is not None and columns is not None and rest == [None, None]
    assert rows.tolist() == list(range(0, 256, 2)) and columns.tolist() == list(range(64, 128))
