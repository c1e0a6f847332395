"""Tables of counters beside each other: whose counts are beyond what the others' make plausible.

A client counts its own rows, whose number nobody else knows. So its tables are compared with the
median client's: how many keys, how many counts in all, and how many at one key. A client beyond
that is left out as a whole, and named.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median_low

import numpy as np

from frugalfl.sums import Table, Tables
from frugalfl_server.rows import MOST_ROWS

#: With fewer clients there is no median to compare with.
_FEWEST = 3
#: Fewer than this are never too many, whatever the others have.
_FEW = 20
_LARGEST = (1 << 32) - 1


def far_beyond(given: Mapping[int, Tables]) -> dict[int, str]:
    """Return why clients are left out whose tables are far larger than the others', by node."""
    found: dict[int, str] = {}
    if len(given) < _FEWEST:
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
