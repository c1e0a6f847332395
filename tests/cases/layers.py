"""Small models around one layer each that people use, and whether they can become int8 files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations


class Written(nn.Module):
    """A model whose ``forward`` is one expression of its layers and the row."""

    def __init__(self, forward: Callable[..., torch.Tensor], **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self._forward = forward

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Evaluate the expression."""
        return self._forward(self, x)


@dataclass(frozen=True)
class Layer:
    """One case.

    Attributes:
        make: Builds the model.
        shape: Of a row.
        rule: Of the lint that stops it, and the export must fail; None: it must work.
        where: Path of the module that an error must name.
    """

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    rule: str | None = None
    where: str = ""


IMAGE, ROW, SERIES, STEPS = (3, 8, 8), (16,), (4, 32), (8, 6)


def head(channels: int = 8) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 4))


def conv(inside: int = 3, outside: int = 8, size: int = 3, **options: object) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, size, padding=size // 2, **options)  # type: ignore[arg-type]


def image(*layers: nn.Module, channels: int = 8) -> Callable[[], nn.Module]:
    """A convolution of 8 channels, some layers, and a classifier."""
    return lambda: nn.Sequential(conv(), *layers, head(channels))


def split_uneven() -> nn.Module:
    def forward(m: Written, x: torch.Tensor) -> torch.Tensor:
        a, b = torch.split(m.first(x), [4, 8], 1)
        return m.out(torch.cat([m.few(a), m.many(b)], 1))

    return Written(forward, first=conv(3, 12), few=conv(4, 4), many=conv(8, 8), out=head(12))


def excite_by_view() -> nn.Module:
    def forward(m: Written, x: torch.Tensor) -> torch.Tensor:
        y = m.first(x)
        gate = torch.sigmoid(m.up(functional.relu(m.down(y.mean((2, 3))))))
        return m.out(y * gate.view(-1, 8, 1, 1))

    return Written(forward, first=conv(), down=nn.Linear(8, 4), up=nn.Linear(4, 8), out=head())


def excite_hard() -> nn.Module:
    def forward(m: Written, x: torch.Tensor) -> torch.Tensor:
        y = functional.hardswish(m.first(x))
        gate = m.up(functional.relu(m.down(functional.adaptive_avg_pool2d(y, 1))))
        return m.out(y * functional.hardsigmoid(gate))

    first = nn.Sequential(conv(), nn.BatchNorm2d(8))
    return Written(forward, first=first, down=conv(8, 4, 1), up=conv(4, 8, 1), out=head())


def recurrent(kind: type[nn.RNNBase]) -> nn.Module:
    return Written(
        lambda m, x: m.out(m.steps(x)[0][:, -1]),
        steps=kind(6, 12, batch_first=True), out=nn.Linear(12, 4),
    )  # fmt: skip


def places() -> nn.Module:
    return Written(
        lambda m, x: m.out((m.first(x) + m.place.weight[None]).mean(1)),
        first=nn.Linear(6, 16), place=nn.Embedding(8, 16), out=nn.Linear(16, 4),
    )  # fmt: skip


def encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(16, 2, 32, 0.1, batch_first=True)
    return Written(
        lambda m, x: m.out(m.layers(m.first(x)).mean(1)),
        first=nn.Linear(6, 16), layers=nn.TransformerEncoder(layer, 1), out=nn.Linear(16, 4),
    )  # fmt: skip


def spectral() -> nn.Module:
    last = parametrizations.spectral_norm(nn.Linear(512, 4))
    return nn.Sequential(conv(), nn.ReLU(), nn.Flatten(), last)


def up(*layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(*layers, nn.ReLU(), head())


LAYERS: Mapping[str, Layer] = {
    "silu": Layer(image(nn.SiLU(), conv(8)), IMAGE),
    "hardsigmoid": Layer(image(nn.Hardsigmoid(), conv(8)), IMAGE),
    "hardswish": Layer(image(nn.Hardswish(), conv(8)), IMAGE),
    "prelu": Layer(image(nn.PReLU(8), conv(8)), IMAGE),
    "glu": Layer(lambda: nn.Sequential(conv(3, 16), nn.GLU(1), head()), IMAGE),
    "group_norm": Layer(image(nn.GroupNorm(4, 8), nn.ReLU(), conv(8)), IMAGE),
    "group_norm_plain": Layer(image(nn.GroupNorm(2, 8, affine=False), nn.ReLU()), IMAGE),
    "layer_norm": Layer(
        lambda: nn.Sequential(nn.Linear(16, 32), nn.LayerNorm(32), nn.ReLU(), nn.Linear(32, 4)),
        ROW,
    ),
    "instance_norm": Layer(image(nn.InstanceNorm2d(8, affine=True), nn.ReLU()), IMAGE),
    "instance_norm_tracked": Layer(
        image(nn.InstanceNorm2d(8, affine=True, track_running_stats=True), nn.ReLU()), IMAGE
    ),
    "average_pool_ceil": Layer(image(nn.AvgPool2d(3, 2, ceil_mode=True)), IMAGE),
    "max_pool_ceil": Layer(image(nn.MaxPool2d(3, 2, ceil_mode=True)), IMAGE),
    "transposed_grouped": Layer(image(nn.ConvTranspose2d(8, 8, 4, 2, 1, groups=8)), IMAGE),
    "transposed_same": Layer(image(nn.ConvTranspose2d(8, 8, 4, 2, 1), nn.ReLU()), IMAGE),
    "bilinear": Layer(image(nn.Upsample(scale_factor=2, mode="bilinear"), conv(8)), IMAGE),
    "reflect": Layer(image(conv(8, padding_mode="reflect"), nn.ReLU()), IMAGE),
    "split_uneven": Layer(split_uneven, IMAGE),
    "excite_by_view": Layer(excite_by_view, IMAGE),
    "excite_hard": Layer(excite_hard, IMAGE),
    "spectral": Layer(spectral, IMAGE),
    "places": Layer(places, STEPS),
    "encoder": Layer(encoder, STEPS),
    "lstm": Layer(lambda: recurrent(nn.LSTM), STEPS),
    "gru": Layer(lambda: recurrent(nn.GRU), STEPS),
    "transposed_odd": Layer(up(nn.ConvTranspose2d(3, 8, (1, 5), (1, 2), (0, 2))), IMAGE),
    "transposed_longer": Layer(
        image(nn.ConvTranspose2d(8, 8, 3, 2, 1, output_padding=1), nn.BatchNorm2d(8)), IMAGE
    ),
    "transposed_series": Layer(
        lambda: nn.Sequential(
            nn.Conv1d(4, 8, 3, padding=1), nn.ReLU(),
            nn.ConvTranspose1d(8, 8, 3, 2, 1, output_padding=1), nn.ReLU(),
            nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 4),
        ),
        SERIES,
    ),
    "transposed_dilated": Layer(
        up(nn.ConvTranspose2d(3, 8, 3, 2, 1, dilation=2)), IMAGE, "transposed-dilation", "0"
    ),
    "orthogonal": Layer(
        lambda: nn.Sequential(
            parametrizations.orthogonal(nn.Linear(16, 16)), nn.ReLU(), nn.Linear(16, 4)
        ),
        ROW,
    ),
    "weight_norm": Layer(
        lambda: nn.Sequential(parametrizations.weight_norm(conv()), nn.ReLU(), head()), IMAGE
    ),
    "power_pool": Layer(image(nn.LPPool2d(2, 2)), IMAGE, "power-pool", "1"),
    "untracked_norm": Layer(
        image(nn.BatchNorm2d(8, track_running_stats=False), nn.ReLU()),
        IMAGE, "untracked-norm", "1",
    ),
    "bilinear_layer": Layer(
        lambda: Written(
            lambda m, x: m.out(m.mix(x, x)), mix=nn.Bilinear(16, 16, 8), out=nn.Linear(8, 4)
        ),
        ROW, "bilinear-layer", "mix",
    ),
    "nearest_fraction": Layer(
        image(nn.Upsample(scale_factor=1.5), conv(8)), IMAGE, "fractional-resize", "1"
    ),
    "average_pool_partial": Layer(
        image(nn.AvgPool2d(3, 2, padding=1, count_include_pad=False)), IMAGE, "partial-pool", "1"
    ),
    "max_pool_dilated": Layer(image(nn.MaxPool2d(2, 2, dilation=2)), IMAGE, "dilated-pool", "1"),
    "circular": Layer(
        lambda: nn.Sequential(conv(padding_mode="circular"), nn.ReLU(), head()),
        IMAGE, "circular", "0",
    ),
    "softplus": Layer(image(nn.Softplus()), IMAGE, "activation", "1"),
    "two_outputs": Layer(
        lambda: Written(lambda m, x: (m.a(x), m.b(x)), a=nn.Linear(16, 4), b=nn.Linear(16, 2)),
        ROW, "one-output",
    ),
}  # fmt: skip
