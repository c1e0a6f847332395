"""Rows with what people's rows have wrong, by the environment variable KIND; batch norm."""

import os

import numpy as np

from frugalfl import Examples, PublicData, Task


def rows(count, seed):
    x = np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)
    return Examples(x, x[:, :4].argmax(1).astype(np.int64))


#: What client 1 has in place of its rows.
ONE = {
    "strings": lambda x, y: Examples(x, np.array(["a"] * len(y))),
    "out_of_range": lambda x, y: Examples(x, np.where(y == 3, 4, y)),
    "minus1": lambda x, y: Examples(x, np.where(y == 3, -1, y)),
    "empty": lambda x, y: Examples(x[:0], y[:0]),
    "tuple": lambda x, y: (x, y),
    "lists": lambda x, y: Examples(x.tolist(), y.tolist()),
    "shape": lambda x, y: Examples(x[:, :7].copy(), y),
    "nan": lambda x, y: Examples(x * np.float32("nan"), y),
    "values": lambda x, y: Examples(x, y.astype(np.float32)),
    "one_hot": lambda x, y: Examples(x, np.eye(4, dtype=np.int64)[y]),
    "onerow": lambda x, y: Examples(x[:1], y[:1]),
    "raises": lambda x, y: Examples(np.load("/nowhere/rows.npy"), y),
}
#: What all clients have.
ALL = {
    "flip": lambda x, y: Examples(x[:, ::-1], y[::-1]),
    "int32": lambda x, y: Examples(x, y.astype(np.int32)),
    "uint8": lambda x, y: Examples(x, y.astype(np.uint8)),
    "fortran": lambda x, y: Examples(np.asfortranarray(x), y),
    "all_out_of_range": lambda x, y: Examples(x, y + 1),
}
PUBLIC = {
    "pub_flip": lambda x, y: Examples(x[:, ::-1], y),
    "pub_one_hot": lambda x, y: Examples(x, np.eye(4, dtype=np.float32)[y]),
    "pub_200": lambda x, y: Examples(x, y[:, None]),
    "pub_values": lambda x, y: Examples(x, y.astype(np.float32)),
    "pub_out_of_range": lambda x, y: Examples(x, y + 1),
    "pub_nan": lambda x, y: Examples(x * np.float32("nan"), y),
}


def _changed(table, examples):
    kind = os.environ.get("KIND", "")
    return table[kind](examples.x, examples.y) if kind in table else examples


def client_data(client, clients):
    """41 rows with KIND=rest: one is left over by batches of 8."""
    one = _changed(ALL, rows(41 if os.environ.get("KIND") == "rest" else 40, 10 + client))
    return _changed(ONE, one) if client == 1 else one


def public_data():
    return PublicData(_changed(PUBLIC, rows(200, 1)))


def model():
    from torch import nn

    return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4))


task = Task("data", model=model, client_data=client_data, public_data=public_data)
