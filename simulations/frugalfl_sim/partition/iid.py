"""Clients that are all alike: rows dealt out by chance."""

from __future__ import annotations

import numpy as np

from frugalfl_sim.partition.rows import Rows, check_enough


def iid(rows: int, clients: int, seed: int, least: int = 4) -> list[Rows]:
    """Split rows by chance into parts that differ by one row at most.

    Args:
        rows: How many there are.
        clients: Number of clients.
        seed: Same seed, same split.
        least: Fewest rows of a client.

    Returns:
        Row numbers of each client, sorted.

    Raises:
        TaskError: There are fewer than ``least`` rows a client.
    """
    check_enough(rows, clients, least)
    order = np.random.default_rng(seed).permutation(rows)
    return [np.sort(part) for part in np.array_split(order, clients)]
