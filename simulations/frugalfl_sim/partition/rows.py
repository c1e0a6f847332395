"""What all splits have in common: row numbers, and how few of them a client may have."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from frugalfl.errors import TaskError

Rows = npt.NDArray[np.int64]


def check_enough(rows: int, clients: int, least: int) -> None:
    """Refuse a split whose clients would have too few rows.

    Raises:
        TaskError: There are fewer than ``least`` rows a client, or no client at all.
    """
    if clients < 1 or least < 0:
        raise TaskError(f"cannot split rows over {clients} clients with at least {least} each")
    if rows < least * clients:
        raise TaskError(f"{rows} rows are too few for {clients} clients with {least} each")


def check_alpha(alpha: float) -> None:
    """Refuse a concentration that no Dirichlet distribution has.

    Raises:
        TaskError: It is not a number above 0.
    """
    if not 0 < alpha < np.inf:
        raise TaskError(
            f"alpha is {alpha}; it must be a number above 0: the smaller, the more uneven"
        )


def cut(order: Rows, sizes: npt.NDArray[np.int64]) -> list[Rows]:
    """Give each client so many of the rows in a drawn order; return its own, sorted."""
    return [np.sort(part) for part in np.split(order, np.cumsum(sizes)[:-1])]


def raise_to(sizes: npt.NDArray[np.int64], least: int) -> npt.NDArray[np.int64]:
    """Return sizes of the same sum, none below ``least``: what is missing the largest give."""
    raised = np.maximum(sizes, least)
    for _ in range(int(raised.sum() - sizes.sum())):
        raised[int(raised.argmax())] -= 1
    return raised
