"""Tables of counters beside each other: whose counts are beyond what the others' make plausible.

A client counts its own rows, whose number nobody else knows. So its tables are compared with the
median client's: how many keys, how many counts in all, and how many at one key. And key by key with
all others': a larger client counts more where they count too, and here and there something of its
own; one that made its counts up has many where nobody else has any. Who is beyond that is left out
as a whole, and named.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median_low

import numpy as np
import numpy.typing as npt

from frugalfl.sums import Counts, Table, Tables, add_up, holders
from frugalfl_server.rounds.row_claims import FEWEST, MOST_ROWS

#: Fewer than this are never too many, whatever the others have.
_FEW = 20
_LARGEST = (1 << 32) - 1
Floats = npt.NDArray[np.float64]
#: A count by itself is usual up to this share of the median client's largest, and at least so many.
_USUAL, _LEAST = 0.5, 2
#: Counts are made up if more than this share of a table is beyond what all others have at the same
#: keys, and they go with the others' less than this (correlation of logarithms). Honest branches of
#: simulated banks had 0.09 at most, or 0.23 at least; one nine times as large as each other 0.3 and
#: 0.4. Nine times a client's own counts at other keys have 0.6 and 0.
_ALONE, _ALIKE = 0.15, 0.25


def far_beyond(given: Mapping[int, Tables]) -> dict[int, str]:
    """Return why clients are left out whose tables are far larger than the others', by node."""
    found: dict[int, str] = {}
    if len(given) < FEWEST:
        return found
    sizes = {node: _sizes(tables) for node, tables in given.items()}
    for kind in sorted({kind for one in sizes.values() for kind in one}):
        each = {node: one.get(kind, 0) for node, one in sizes.items()}
        most = MOST_ROWS * max(median_low(each.values()), _FEW // MOST_ROWS)
        name, what = kind
        found |= {
            node: f"its table {name!r} has {size} {what}, more than {MOST_ROWS} times the median "
            f"client's (limit {most})"
            for node, size in each.items()
            if size > most and node not in found
        }
    return found


def _sizes(tables: Tables) -> dict[tuple[str, str], int]:
    """Return keys, counts in all and counts at the largest key, by name of a table."""
    sizes: dict[tuple[str, str], int] = {}
    for name, table in tables.items():
        by_key = table.counts.sum(axis=1, dtype=np.uint64)
        sizes |= {
            (name, "keys"): len(by_key),
            (name, "counts in all"): int(by_key.sum()),
            (name, "counts at one key"): int(by_key.max(initial=0)),
        }
    return sizes


def made_up(given: Mapping[int, Tables], at_least: int) -> dict[int, str]:
    """Return why clients are left out whose counts are where nobody else's are, by node.

    More counts of one client only make the others' look better: nobody can have them accused.

    Args:
        given: The tables by node, of the same periods.
        at_least: Clients that must have a key for its sum to be handed back; keys of fewer do no
            harm, and with fewer than three there is nobody to compare with.
    """
    if len(given) < FEWEST:
        return {}
    held, total = holders(given.values()), add_up(given.values())
    found: dict[int, str] = {}
    for name, whole in total.items():
        keys = whole.keys[held[name] >= max(at_least, FEWEST)]
        own = {node: _by_key(tables.get(name), keys) for node, tables in given.items()}
        found |= {node: f"its table {name!r} has {why}" for node, why in _beside(own).items()}
    return found


def _beside(own: Mapping[int, Floats]) -> dict[int, str]:
    """Return whose counts by key are made up, beside the others' at the same keys."""
    every = np.sum(list(own.values()), axis=0)
    usual = max(_USUAL * median_low(float(one.max(initial=0)) for one in own.values()), _LEAST)
    found = {}
    for node, counts in own.items():
        whole, others = float(counts.sum()), every - counts
        alone, alike = _alone(counts, others, usual), _alike(counts, others)
        if alone > max(_ALONE * whole, _FEW) and alike < _ALIKE:
            found[node] = (
                f"{alone:.0f} of {whole:.0f} counts where all others together have fewer (limit "
                f"{_ALONE:.0%}), and goes with theirs by {alike:.2f} only (least {_ALIKE:g})"
            )
    return found


def _alone(counts: Floats, others: Floats, usual: float) -> float:
    """Return how many counts are beyond the others', were they as many as this client's in all."""
    scale = max(1.0, float(counts.sum()) / max(float(others.sum()), 1.0))
    return float(np.maximum(counts - np.maximum(scale * others, usual), 0).sum())


def _alike(counts: Floats, others: Floats) -> float:
    """Return how counts by key correlate with all others'; 1: theirs are alike everywhere."""
    mine, theirs = np.log1p(counts), np.log1p(others)
    if not theirs.size or not np.ptp(theirs):
        return 1.0
    if not np.ptp(mine):
        return 0.0
    return float(np.corrcoef(mine, theirs)[0, 1])


def _by_key(table: Table | None, keys: Counts) -> Floats:
    """Return a table's counts at these keys, of all periods together."""
    counts = np.zeros(len(keys))
    if table is not None and len(table.keys):
        at = np.searchsorted(table.keys, keys).clip(max=len(table.keys) - 1)
        there = table.keys[at] == keys
        counts[there] = table.counts[at[there]].sum(axis=1, dtype=np.float64)
    return counts


def overflowing(given: Mapping[int, Tables]) -> dict[int, str]:
    """Return why clients are left out that bring a sum beyond 32 bits, by node.

    The largest count at such a key is to blame for it.
    """
    left, found = dict(given), {}
    while (cell := _beyond(left)) is not None:
        name, key, period = cell
        counts = {node: _at(tables.get(name), key, period) for node, tables in left.items()}
        worst = max(counts, key=counts.__getitem__)
        found[worst] = (
            f"its count of {counts[worst]} brings a sum in the table {name!r} beyond 32 bits"
        )
        del left[worst]
    return found


def _beyond(given: Mapping[int, Tables]) -> tuple[str, int, int] | None:
    """Return name, key and period of a sum beyond 32 bits."""
    for name in sorted({name for tables in given.values() for name in tables}):
        tables = [one[name] for one in given.values() if name in one]
        keys = np.unique(np.concatenate([table.keys for table in tables]))
        total = np.zeros((len(keys), tables[0].counts.shape[1]), np.uint64)
        for table in tables:
            total[np.searchsorted(keys, table.keys)] += table.counts
        if total.size and int(total.max()) > _LARGEST:
            row, period = np.unravel_index(int(total.argmax()), total.shape)
            return name, int(keys[row]), int(period)
    return None


def _at(table: Table | None, key: int, period: int) -> int:
    if table is None:
        return 0
    row = int(np.searchsorted(table.keys, key))
    there = row < len(table.keys) and int(table.keys[row]) == key
    return int(table.counts[row, period]) if there else 0
