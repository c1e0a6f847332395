"""Digits on 40 clients of which every fifth, the slow ones, have all 8s and 9s, and no others."""

from functools import lru_cache

import numpy as np

from frugalfl import Examples, Task
from frugalfl.task import load_task
from frugalfl_sim.partition import dirichlet

#: The task of simulations/digits, whose folder is on the path.
digits = load_task("task:task")
SLOW_EVERY = 5
FIRST_RARE, SPLIT_SEED = 8, 7


def is_slow(client: int) -> bool:
    """Say whether a client is a slow one."""
    return client % SLOW_EVERY == SLOW_EVERY - 1


@lru_cache(maxsize=2)
def halves(clients: int) -> dict[bool, Examples]:
    """Return the rows of the slow clients and of the quick ones."""
    each = [digits.rows_of(client, clients) for client in range(clients)]
    x, y = (np.concatenate([getattr(rows, name) for rows in each]) for name in ("x", "y"))
    rare = y >= FIRST_RARE
    return {slow: Examples(x[rare == slow], y[rare == slow]) for slow in (True, False)}


def client_data(client: int, clients: int) -> Examples:
    """One client's rows: its share of each digit is drawn from Dirichlet(0.5)."""
    rows = halves(clients)[is_slow(client)]
    alike = [other for other in range(clients) if is_slow(other) == is_slow(client)]
    parts = dirichlet(rows.y, len(alike), alpha=0.5, seed=SPLIT_SEED)
    mine = parts[alike.index(client)]
    return Examples(rows.x[mine], rows.y[mine])


task = Task(
    "slow-digits", model=digits.new_model, client_data=client_data, public_data=digits.public_rows
)
