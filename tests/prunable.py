"""Small nets of many kinds, and what pruning may take from them: all of them take one row shape."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

#: Shape of one row.
IMAGE, SIGNAL, ROW, STEPS, TOKENS = (3, 8, 8), (4, 24), (12,), (8, 6), (10,)


class Chunked(nn.Module):
    """A gated linear unit by hand: half of the channels gate the other half."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(16, 5, 8)

    def forward(self, x):
        value, gate = self.stem(x).chunk(2, 1)
        return self.head(value * torch.sigmoid(gate)).flatten(1)


class Split(nn.Module):
    """Unequal parts of the channels go separate ways."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 3, padding=1)
        self.one, self.two, self.head = nn.Conv2d(8, 8, 1), nn.Conv2d(16, 8, 1), nn.Linear(16, 5)

    def forward(self, x):
        one, two = self.stem(x).split([8, 16], 1)
        return self.head(torch.cat([self.one(one), self.two(two)], 1).mean((2, 3)))


class Sliced(nn.Module):
    """The first channels are read by number."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(12, 16), nn.Linear(8, 5)

    def forward(self, x):
        return self.head(torch.relu(self.stem(x))[:, :8])


class Shuffled(nn.Module):
    """ShuffleNet's shuffle between two grouped convolutions."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3)
        self.one = nn.Conv2d(16, 16, 1, groups=2)
        self.two, self.head = nn.Conv2d(16, 16, 1, groups=2), nn.Linear(16, 5)

    def forward(self, x):
        x = torch.relu(self.one(self.stem(x)))
        rows, channels, height, width = x.shape
        x = x.view(rows, 2, channels // 2, height, width).transpose(1, 2)
        x = self.two(x.reshape(rows, channels, height, width))
        return self.head(x.mean((2, 3)))


class SqueezeExcite(nn.Module):
    """Squeeze-excite by linear layers and a view back to an image."""

    def __init__(self, by_size=True):
        super().__init__()
        self.stem, self.head, self.by_size = nn.Conv2d(3, 16, 3), nn.Linear(16, 5), by_size
        self.squeeze, self.excite = nn.Linear(16, 8), nn.Linear(8, 16)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        scale = torch.sigmoid(self.excite(torch.relu(self.squeeze(x.mean((2, 3))))))
        shape = (*x.shape[:2], 1, 1) if self.by_size else (-1, 16, 1, 1)
        return self.head((x * scale.view(shape)).mean((2, 3)))


class Heads(nn.Module):
    """Self-attention by hand, reshaped to heads."""

    def __init__(self, width=16, heads=2):
        super().__init__()
        self.enter, self.heads = nn.Linear(6, width), heads
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))
        self.out, self.head = nn.Linear(width, width), nn.Linear(width, 5)

    def forward(self, x):
        x = self.enter(x)
        rows, steps, width = x.shape
        q, k, v = (
            one(x).view(rows, steps, self.heads, width // self.heads).transpose(1, 2)
            for one in (self.q, self.k, self.v)
        )
        mixed = torch.softmax(q @ k.transpose(2, 3) / 4, -1) @ v
        return self.head((x + self.out(mixed.transpose(1, 2).reshape(rows, steps, width))).mean(1))


class Attention(nn.Module):
    """PyTorch's own attention."""

    def __init__(self):
        super().__init__()
        self.enter, self.head = nn.Linear(6, 16), nn.Linear(16, 5)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, x):
        x = self.enter(x)
        return self.head((x + self.attention(x, x, x)[0]).mean(1))


class Encoder(nn.Module):
    """PyTorch's own transformer encoder, with a learned position."""

    def __init__(self):
        super().__init__()
        self.patch, self.position = nn.Linear(6, 16), nn.Parameter(torch.randn(1, 8, 16))
        layer = nn.TransformerEncoderLayer(16, 2, 32, 0.0, batch_first=True)
        self.encoder, self.head = nn.TransformerEncoder(layer, 1), nn.Linear(16, 4)

    def forward(self, x):
        return self.head(self.encoder(self.patch(x) + self.position).mean(1))


class Recurrent(nn.Module):
    """A recurrent layer between linear ones."""

    def __init__(self, kind, **options):
        super().__init__()
        self.enter, self.recurrent = nn.Linear(6, 16), kind(16, 16, batch_first=True, **options)
        width = 16 * (1 + self.recurrent.bidirectional)
        self.middle, self.head = nn.Linear(width, 16), nn.Linear(16, 5)

    def forward(self, x):
        x, _ = self.recurrent(torch.relu(self.enter(x)))
        return self.head(torch.relu(self.middle(x[:, -1])))


class Tied(nn.Module):
    """Two layers, one weight."""

    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(12, 16), nn.Linear(16, 5)
        self.one, self.two = nn.Linear(16, 16), nn.Linear(16, 16)
        self.two.weight = self.one.weight

    def forward(self, x):
        return self.head(torch.relu(self.two(torch.relu(self.one(torch.relu(self.first(x)))))))


class TiedEmbedding(nn.Module):
    """What reads tokens in also writes them out."""

    def __init__(self):
        super().__init__()
        self.embedding, self.middle = nn.Embedding(20, 16), nn.Linear(16, 16)
        self.head = nn.Linear(16, 20, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x):
        return self.head(torch.relu(self.middle(self.embedding(x.long()).mean(1))))


class Embedded(nn.Module):
    """Tokens, an embedding, a layer norm."""

    def __init__(self):
        super().__init__()
        self.embedding, self.norm = nn.Embedding(20, 16), nn.LayerNorm(16)
        self.middle, self.head = nn.Linear(16, 32), nn.Linear(32, 5)

    def forward(self, x):
        return self.head(torch.relu(self.middle(self.norm(self.embedding(x.long())).mean(1))))


class Twice(nn.Module):
    """One module called twice."""

    def __init__(self):
        super().__init__()
        self.stem, self.again = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.hidden, self.head = nn.Linear(16, 16), nn.Linear(16, 5)

    def forward(self, x):
        x = torch.relu(self.again(torch.relu(self.again(torch.relu(self.stem(x))))))
        return self.head(torch.relu(self.hidden(x.mean((2, 3)))))


class Bare(nn.Module):
    """Parameters that are no layer's: a scale for each channel, and a weight by hand."""

    def __init__(self):
        super().__init__()
        self.stem, self.scale = nn.Conv2d(3, 16, 3), nn.Parameter(torch.rand(16, 1, 1))
        self.weight, self.head = nn.Parameter(torch.randn(5, 16)), nn.Conv2d(16, 16, 6)

    def forward(self, x):
        x = torch.relu(self.stem(x)) * self.scale
        return functional.linear(torch.relu(self.head(x)).flatten(1), self.weight)


class RootMeanSquare(nn.Module):
    """A norm by hand, with the width in an attribute of its own."""

    def __init__(self):
        super().__init__()
        self.stem, self.head, self.width = nn.Linear(12, 16), nn.Linear(16, 5), 16
        self.weight = nn.Parameter(torch.ones(16))

    def forward(self, x):
        x = self.stem(x)
        return self.head(x * (x.pow(2).sum(1, keepdim=True) / self.width + 1).rsqrt() * self.weight)


class Residual(nn.Module):
    """Convolutions, batch norm, a depthwise convolution and a residual around them."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.pointwise, self.head = nn.Conv2d(16, 16, 1), nn.Linear(16, 10)

    def forward(self, x):
        x = torch.relu(self.norm(self.stem(x)))
        return self.head((x + torch.relu(self.pointwise(self.depthwise(x)))).mean((2, 3)))


class Hidden(nn.Module):
    """Uses a layer's weights behind the tracer's back."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3)
        self.head = nn.Conv2d(16, 4, 4)

    def forward(self, x):
        return self.head(functional.conv2d(self.first(x), self.second.weight)).flatten(1)


class Fixed(nn.Module):
    """A reshape with the width written out: by chance it runs with fewer channels."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 16, 3), nn.Linear(16, 5)

    def forward(self, x):
        return self.head(self.stem(x).mean((2, 3)).reshape(-1, 16))


class Rows(nn.Module):
    """Sums channels by fours, so that they cannot be told from each other by number alone."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(12, 16), nn.Linear(4, 5)

    def forward(self, x):
        return self.head(torch.relu(self.stem(x)).view(len(x), 4, -1).sum(2))


class Flipped(nn.Module):
    """The last channel is read as the first: none is by the number that it has."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(12, 16), nn.Linear(16, 5)

    def forward(self, x):
        return self.head(torch.relu(self.stem(x)).flip(1))


class OneHead(nn.Module):
    """Attention of one head; the weights of its three parts are one layer's."""

    def __init__(self):
        super().__init__()
        self.enter, self.qkv = nn.Linear(6, 16), nn.Linear(16, 48)
        self.out, self.head = nn.Linear(16, 16), nn.Linear(16, 5)

    def forward(self, x):
        x = self.enter(x)
        q, k, v = self.qkv(x).chunk(3, -1)
        return self.head((x + self.out(torch.softmax(q @ k.transpose(1, 2) / 4, -1) @ v)).mean(1))


class Halves(nn.Module):
    """Two sums over halves that are cut by number: it runs with fewer channels, and means less."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(12, 16), nn.Linear(2, 5)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        return self.head(torch.stack([x[:, :8].sum(1), x[:, 8:].sum(1)], 1))


def image(kind, *sizes, **options):
    """Return a layer between a convolution to 16 channels and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), kind(*sizes, **options), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(16, 5),
    )  # fmt: skip


def multiplied():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3, groups=8), nn.ReLU(), nn.Flatten(),
        nn.Linear(256, 32), nn.ReLU(), nn.Linear(32, 5),
    )  # fmt: skip


def upwards():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.ReLU(),
        nn.ConvTranspose2d(16, 8, 2, stride=2), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1),
    )  # fmt: skip


def grouped_upwards():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.ReLU(),
        nn.ConvTranspose2d(16, 16, 2, stride=2, groups=4), nn.ReLU(), nn.Conv2d(16, 3, 1),
    )  # fmt: skip


def resnext():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3, groups=8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, 4),
    )  # fmt: skip


def normed(wrap, **options):
    return nn.Sequential(
        wrap(nn.Conv1d(4, 16, 5), **options), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
        nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4),
    )  # fmt: skip


def mlp(kind, **options):
    return nn.Sequential(nn.Linear(12, 32), kind(32, **options), nn.ReLU(), nn.Linear(32, 5))
