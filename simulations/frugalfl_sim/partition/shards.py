"""Clients with few classes each: the pathological split of the first federated experiments."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from frugalfl.errors import TaskError
from frugalfl_sim.partition.rows import Rows, check_enough


def shards(
    labels: npt.NDArray[Any], clients: int, each: int, seed: int, least: int = 4
) -> list[Rows]:
    """Sort rows by class, cut them into equal shards, and deal ``each`` of them to every client.

    McMahan et al. 2017 give two shards to each of 100 clients, so that most have two digits only.
    Within a class the order is drawn.

    Args:
        labels: Class of each row, shape ``(rows,)``.
        clients: Number of clients.
        each: Shards of a client, at least 1.
        seed: Same seed, same split.
        least: Fewest rows of a client.

    Returns:
        Row numbers of each client, sorted.

    Raises:
        TaskError: There are fewer than ``least`` rows a client, or a shard has none.
    """
    if each < 1:
        raise TaskError(f"each is {each}; a client takes at least one shard")
    check_enough(len(labels), clients, max(least, each))
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(len(labels))
    by_class = drawn[np.argsort(np.asarray(labels)[drawn], kind="stable")]
    cut = np.array_split(by_class, clients * each)
    dealt = rng.permutation(clients * each).reshape(clients, each)
    return [np.sort(np.concatenate([cut[shard] for shard in own])) for own in dealt]
