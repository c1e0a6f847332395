"""Clients that differ in how much they have: quantity skew."""

from __future__ import annotations

import numpy as np

from frugalfl_sim.partition.rows import Rows, check_alpha, check_enough, cut, raise_to


def uneven(rows: int, clients: int, alpha: float, seed: int, least: int = 4) -> list[Rows]:
    """Split rows by chance into parts whose shares are drawn from Dirichlet(alpha).

    Small ``alpha``: few clients have most rows (quantity skew of Li et al. 2022, "Federated
    learning on non-IID data silos").

    Args:
        rows: How many there are.
        clients: Number of clients.
        alpha: Concentration, above 0.
        seed: Same seed, same split.
        least: Fewest rows of a client; the largest clients give what is missing.

    Returns:
        Row numbers of each client, sorted.

    Raises:
        TaskError: There are fewer than ``least`` rows a client, or ``alpha`` cannot be.
    """
    check_enough(rows, clients, least)
    check_alpha(alpha)
    rng = np.random.default_rng(seed)
    ends = np.rint(np.cumsum(rng.dirichlet([alpha] * clients)) * rows).astype(np.int64)
    ends[-1] = rows
    sizes = raise_to(np.diff(ends, prepend=0), least)
    return cut(rng.permutation(rows), sizes)
