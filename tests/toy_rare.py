"""Small tasks of two classes, one of them rare: what trees and counters are tried on."""

import numpy as np

from frugalfl import Examples, PublicData, Task
from frugalfl.metrics import two_class_average_precision
from frugalfl.sums import Table

#: Share of rows of class 1.
RATE = 0.15
ROWS, FEATURES = 240, 6
METRICS = {"average_precision": two_class_average_precision}


def rows(seed, count=ROWS, rate=RATE):
    """Return rows of which two features, and their product, tell of the class."""
    random = np.random.default_rng((7, seed))
    y = (random.random(count) < rate).astype(np.int64)
    x = random.standard_normal((count, FEATURES)) + 1.2 * y[:, None] * (np.arange(FEATURES) < 2)
    return Examples(x.astype(np.float32), y)


def held_back():
    return PublicData(rows(1000, 2000))


def network():
    from torch import nn

    return nn.Sequential(nn.Linear(FEATURES, 4), nn.ReLU(), nn.Linear(4, 2))


def two_class(name, client_data):
    return Task(
        name, model=network, client_data=client_data, public_data=held_back, metrics=METRICS
    )


task = two_class("rare", lambda client, _: rows(client))
#: Clients from 1 have rows of one class only.
lopsided = two_class("lopsided", lambda client, _: rows(client, rate=(RATE, 0, 1)[min(client, 2)]))
nobody = two_class("nobody", lambda client, _: rows(client, rate=0))
#: Client 1 has one feature more than all others.
wider = two_class(
    "wider",
    lambda client, _: (
        rows(client)
        if client != 1
        else Examples(np.ones((ROWS, FEATURES + 1), np.float32), rows(client).y)
    ),
)


def three_classes(seed, count=60):
    some = rows(seed, count)
    return Examples(some.x, np.arange(count) % 3)


many = Task(
    "many", model=network, client_data=lambda client, _: three_classes(client),
    public_data=lambda: PublicData(three_classes(1000)),
)  # fmt: skip
#: The server's rows are of two classes, the clients' are not.
liars = two_class("liars", lambda client, _: three_classes(client))

PLACES, PERIODS = 12, 3


def counted(client):
    """Return how often a client saw some of the places in each period: sparse, and of few."""
    random = np.random.default_rng((8, client))
    own = np.flatnonzero(random.random(PLACES) < 0.5)
    return own.astype(np.uint32), random.integers(0, 50, (len(own), PERIODS)).astype(np.uint32)


def counters(client, clients):
    keys, counts = counted(client)
    return {"seen": Table(keys, counts), "keys": Table(keys, counts[:, :1] // 2)}


def total():
    """Return what all of four clients saw, by place and period."""
    found = np.zeros((PLACES, PERIODS), np.int64)
    for client in range(4):
        keys, counts = counted(client)
        found[keys] += counts
    return found


def with_counters(client, clients, totals=None):
    """One feature is the total of the client's first place, as far as it is known to the client."""
    some = rows(client)
    known = counters(client, clients) if totals is None else totals
    x = np.column_stack([some.x, np.full(ROWS, known["seen"].counts.sum(), np.float32)])
    return Examples(x.astype(np.float32), some.y)


def held_back_with_counters(shared):
    some = rows(1000, 2000)
    x = np.column_stack([some.x, np.full(len(some), total().sum(), np.float32)])
    return PublicData(Examples(x.astype(np.float32), some.y))


def network_with_counters():
    from torch import nn

    return nn.Sequential(nn.Linear(FEATURES + 1, 4), nn.ReLU(), nn.Linear(4, 2))


counting = Task(
    "counting", model=network_with_counters, client_data=with_counters,
    public_data=held_back_with_counters, counters=counters, metrics=METRICS,
)  # fmt: skip


def failing(client, clients):
    raise ValueError(f"no places of {client}")


broken = Task(
    "broken", model=network_with_counters, client_data=with_counters,
    public_data=held_back_with_counters, counters=failing,
)  # fmt: skip
