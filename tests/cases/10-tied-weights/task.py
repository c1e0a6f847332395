import numpy as np

from frugalfl import Examples, PublicData, Task

SHAPE = (16,)
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

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(16, 16)
            self.b = nn.Linear(16, 16)
            self.b.weight = self.a.weight
            self.o = nn.Linear(16, 4)
            self.r = nn.ReLU()

        def forward(self, x):
            return self.o(self.r(self.b(self.r(self.a(x)))))

    return Tied()


task = Task("alias", model=model, client_data=client_data, public_data=public_data)
