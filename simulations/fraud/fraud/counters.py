"""Frauds of each terminal: all that one branch may tell the others about its transactions.

One table: frauds by terminal, as a keyed hash (`key_of`), and quarter of a day. A terminal's risk
is computed from such a table, whether it is the branch's own or the sum over all branches: "local"
and "shared" differ in whose rows were counted, and in nothing else.

How many transactions a terminal has does not enter: shared as well, by 28-day blocks, it took 35 kB
more of a branch and gave no better ranking.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fraud.config import Config, day_number
from fraud.schema import DAY, Transactions
from frugalfl.sums import Table
from frugalfl_client.data.keyed_hash import digests

#: Keys are numbers below this: two of 10,000 terminals share one with 5 % of them all together.
BUCKETS = 1 << 24
#: A period (s). A whole day would know frauds half a day later on average, for few bytes less.
PERIOD_S = DAY // 4


def key_of(terminals: npt.NDArray[np.int64], config: Config) -> npt.NDArray[np.uint32]:
    """Return the key of each terminal, uint32 (n,)."""
    distinct, which = np.unique(terminals, return_inverse=True)
    hashes = digests(distinct.tolist(), config.salt, "terminal") % np.uint64(BUCKETS)
    return hashes.astype(np.uint32)[which]


def span_of(transactions: Transactions, config: Config) -> tuple[int, int]:
    """Return the first second of the data and the first one after it.

    The config's days where it has them; else those of the rows.
    """
    first = day_number(config.first_day) if config.first_day else int(transactions.day.min())
    last = day_number(config.last_day) if config.last_day else int(transactions.day.max())
    return first * DAY, (last + 1) * DAY


def counters(transactions: Transactions, config: Config) -> dict[str, Table]:
    """Count a branch's frauds by terminal.

    Args:
        transactions: Of one branch.
        config: Days and salt are taken from it.

    Returns:
        "frauds": a row for each terminal of the branch, also of those without fraud; columns are
        periods of `PERIOD_S`, the first begins with the config's first day. Rows outside of the
        config's days do not count. Empty where there are no terminals.
    """
    if not config.has_terminal:
        return {}
    start, stop = span_of(transactions, config)
    inside = (transactions.time >= start) & (transactions.time < stop)
    keys, row = np.unique(key_of(transactions.terminal, config), return_inverse=True)
    fraud = inside & (transactions.fraud == 1)
    periods = (stop - start) // PERIOD_S
    cells = row[fraud] * periods + (transactions.time[fraud] - start) // PERIOD_S
    counts = np.bincount(cells, minlength=len(keys) * periods)
    return {"frauds": Table(keys, counts.reshape(len(keys), periods).astype(np.uint32))}
