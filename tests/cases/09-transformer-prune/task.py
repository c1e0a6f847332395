"""A small transformer encoder over 8 patches of 6 numbers: PyTorch's own nn.TransformerEncoderLayer."""

import numpy as np

from frugalfl import Examples, PublicData, Task

SHAPE = (8, 6)
W = np.random.default_rng(0).normal(size=(4, 48)).astype(np.float32)


def rows(n, seed):
    x = np.random.default_rng(seed).normal(size=(n, *SHAPE)).astype(np.float32)
    return Examples(x, (x.reshape(n, -1) @ W.T).argmax(1).astype(np.int64))


def client_data(client, clients):
    return rows(40, 10 + client)


def public_data():
    return PublicData(rows(100, 1), rows(64, 2))


def model():
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.patch = nn.Linear(6, 16)
            self.position = nn.Parameter(torch.randn(1, 8, 16) * 0.02)
            self.encoder = nn.TransformerEncoder(
                nn.TransformerEncoderLayer(16, 2, 32, 0.0, batch_first=True), 1
            )
            self.head = nn.Linear(16, 4)

        def forward(self, x):
            return self.head(self.encoder(self.patch(x) + self.position).mean(1))

    return Net()


task = Task("transformer", model=model, client_data=client_data, public_data=public_data)
