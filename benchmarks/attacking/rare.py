"""Five clients with rare positives at places that all of them see: what liars are tried on.

Clients differ in what their second feature is about; the last feature is what the counters say of
a row's place: frauds there before, of this client or of all.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from frugalfl import Examples, PublicData, Task
from frugalfl.metrics import two_class_average_precision
from frugalfl.sums import Table

#: Who lies, in the tasks that have a liar.
LIAR = 4
ROWS, TEST_ROWS, PLACES, PERIODS = 500, 800, 60, 4
#: At the first of the places frauds are frequent.
BAD_PLACES = 8
Floats = npt.NDArray[np.float32]


def seen(client: int, count: int, part: int) -> tuple[Floats, npt.NDArray[np.int64], Floats]:
    """Return features, classes and places of some rows of a client."""
    random = np.random.default_rng((part, client))
    place = random.integers(0, PLACES, count)
    y = (random.random(count) < np.where(place < BAD_PLACES, 0.35, 0.06)).astype(np.int64)
    x = random.standard_normal((count, 4))
    x[:, :2] += 1.1 * y[:, None]
    x[:, 1] += 0.4 * client
    return x.astype(np.float32), y, place.astype(np.float32)


def counters(client: int, clients: int) -> dict[str, Table]:
    """Count a client's frauds by place and period, before the rows that it trains on."""
    _, y, place = seen(client, ROWS, 0)
    period = np.arange(ROWS) * PERIODS // ROWS
    counts = np.zeros((PLACES, PERIODS), np.uint32)
    np.add.at(counts, (place.astype(int)[y == 1], period[y == 1]), 1)
    return {"frauds": Table(np.arange(PLACES, dtype=np.uint32), counts)}


def made(client: int, count: int, part: int, totals: Mapping[str, Table]) -> Examples:
    """Return rows whose last feature is made with some counters."""
    x, y, place = seen(client, count, part)
    table = totals["frauds"]
    row = np.searchsorted(table.keys, place.astype(np.uint32)).clip(0, len(table.keys) - 1)
    known = np.log1p(table.counts[row].sum(axis=1, dtype=np.int64))
    return Examples(np.column_stack([x, known]).astype(np.float32), y)


def client_data(client: int, clients: int, totals: Mapping[str, Table] | None = None) -> Examples:
    """Return a client's training rows."""
    return made(client, ROWS, 1, counters(client, clients) if totals is None else totals)


def inverted_data(client: int, clients: int, totals: Mapping[str, Table] | None = None) -> Examples:
    """Return the same, the liar's labels inverted."""
    rows = client_data(client, clients, totals)
    return Examples(rows.x, 1 - rows.y) if client == LIAR else rows


def held_back(shared: bool) -> PublicData:
    """Return rows of the honest clients, with their own counters: what the server looks at."""
    parts = [made(one, TEST_ROWS, 2, counters(one, LIAR)) for one in range(LIAR)]
    x, y = (np.concatenate([getattr(part, name) for part in parts]) for name in "xy")
    return PublicData(Examples(x, y))


def network() -> object:
    """Return a network, which trees do not need and a task has."""
    from torch import nn

    return nn.Linear(5, 2)


METRICS = {"average_precision": two_class_average_precision}
task = Task(
    "rare", model=network, client_data=client_data, public_data=held_back, counters=counters,
    metrics=METRICS,
)  # type: ignore[arg-type]  # fmt: skip
inverted = Task(
    "inverted", model=network, client_data=inverted_data, public_data=held_back, counters=counters,
    metrics=METRICS,
)  # type: ignore[arg-type]  # fmt: skip
