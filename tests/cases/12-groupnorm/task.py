import numpy as np

from frugalfl import Examples, PublicData, Task

SHAPE = (1, 8, 8)
W = np.random.default_rng(0).normal(size=(4, int(np.prod(SHAPE)))).astype(np.float32)


def rows(n, seed):
    x = np.random.default_rng(seed).normal(size=(n, *SHAPE)).astype(np.float32)
    return Examples(x, (x.reshape(n, -1) @ W.T).argmax(1).astype(np.int64))


def client_data(client, clients):
    return rows(40, 10 + client)


def public_data():
    return PublicData(rows(200, 1))


def model():
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 16, 3),
        nn.GroupNorm(4, 16),
        nn.ReLU(),
        nn.AvgPool2d(3),
        nn.Flatten(),
        nn.Linear(64, 4),
    )


task = Task("groupnorm", model=model, client_data=client_data, public_data=public_data)
