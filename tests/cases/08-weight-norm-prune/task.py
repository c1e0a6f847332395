import numpy as np

from frugalfl import Examples, PublicData, Task

SHAPE = (4, 32)
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
        nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 16, 5)),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(16, 4),
    )


task = Task("wnorm", model=model, client_data=client_data, public_data=public_data)
