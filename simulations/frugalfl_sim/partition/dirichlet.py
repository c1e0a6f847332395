"""Clients whose shares of every class differ: label skew."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from frugalfl_sim.partition.rows import Rows, check_alpha, check_enough


def dirichlet(
    labels: npt.NDArray[Any], clients: int, alpha: float, seed: int, least: int = 4
) -> list[Rows]:
    """Split rows so that each client's share of every class is drawn from Dirichlet(alpha).

    The usual way to make clients differ (Hsu et al. 2019); small ``alpha``: clients with few
    classes. A client with fewer than ``least`` rows takes rows from the client that has the most.

    Args:
        labels: Class of each row, shape ``(rows,)``.
        clients: Number of clients.
        alpha: Concentration, above 0.
        seed: Same seed, same split.
        least: Fewest rows of a client.

    Returns:
        Row numbers of each client, sorted.

    Raises:
        TaskError: There are fewer than ``least`` rows a client, or ``alpha`` cannot be.
    """
    known = np.ascontiguousarray(labels)
    parts = _split(known.tobytes(), known.dtype.str, clients, alpha, seed, least)
    return [part.copy() for part in parts]


@lru_cache(maxsize=2)
def _split(
    labels_bytes: bytes, kind: str, clients: int, alpha: float, seed: int, least: int
) -> list[Rows]:
    """Split once for all clients, each of which asks for its part."""
    labels = np.frombuffer(labels_bytes, kind)
    check_enough(len(labels), clients, least)
    check_alpha(alpha)
    rng = np.random.default_rng(seed)
    parts: list[list[int]] = [[] for _ in range(clients)]
    for label in np.unique(labels):
        of_class = rng.permutation(np.flatnonzero(labels == label))
        ends = (np.cumsum(rng.dirichlet([alpha] * clients)) * len(of_class)).astype(int)[:-1]
        for part, more in zip(parts, np.split(of_class, ends), strict=True):
            part.extend(int(row) for row in more)
    while len(poorest := min(parts, key=len)) < least:
        poorest.append(max(parts, key=len).pop())
    return [np.array(sorted(part), np.int64) for part in parts]
