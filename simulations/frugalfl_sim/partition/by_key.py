"""Clients that the data itself names: a writer, a patient, a machine, a branch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from frugalfl.errors import TaskError
from frugalfl_sim.partition.rows import Rows


def by_key(keys: npt.NDArray[Any], clients: int, least: int = 4) -> list[Rows]:
    """Give each client all rows of one or more keys, none of which is split.

    If there are more keys than clients, keys go, the largest first, to whoever has the fewest rows
    so far: the usual rule to balance without splitting (longest processing time first, Graham
    1969).

    Args:
        keys: Of each row, such as the writer's number or name, shape ``(rows,)``.
        clients: Number of clients; at most as many as there are keys.
        least: Fewest rows of a client.

    Returns:
        Row numbers of each client, sorted.

    Raises:
        TaskError: There are fewer keys than clients, or a client has fewer than ``least`` rows.
    """
    found, of_row = np.unique(np.asarray(keys), return_inverse=True)
    if not 1 <= clients <= len(found):
        raise TaskError(
            f"{len(found)} different keys cannot name {clients} clients; lower clients, or split "
            "by another column"
        )
    counts = np.bincount(of_row, minlength=len(found))
    owners, filled = np.empty(len(found), np.int64), np.zeros(clients, np.int64)
    for key in np.argsort(-counts, kind="stable"):
        owners[key] = int(filled.argmin())
        filled[owners[key]] += counts[key]
    if filled.min() < least:
        raise TaskError(
            f"a client would have {filled.min()} rows, and needs {least}; lower clients"
        )
    whose = owners[of_row]
    return [np.flatnonzero(whose == client) for client in range(clients)]
