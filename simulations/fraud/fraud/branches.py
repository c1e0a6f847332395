"""Which branch a simulated customer belongs to.

Two splits that differ in what they do to terminals. By geography a terminal's customers live near
it, so nearly all of its traffic is in one branch; by spend every branch sees every terminal.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from frugalfl.errors import UsageError

Branches = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SPLITS = ("geography", "spend")
#: The largest spend segment has so many times the customers of the smallest.
_SPREAD = 10.0
#: Few, so that branches stay uneven: more rounds make all of them equally large.
_ROUNDS = 3


def by_geography(places: Floats, branches: int, seed: int) -> Branches:
    """Give customers to the nearest of the centres that k-means finds (Lloyd 1982).

    Args:
        places: Where customers live, float64 (customers, 2).
        branches: How many.
        seed: Of the first centres (k-means++, Arthur and Vassilvitskii 2007).

    Returns:
        Branch of each customer, int64 (customers,).

    Raises:
        UsageError: Fewer customers than branches.
    """
    _enough(len(places), branches)
    rng = np.random.default_rng(seed)
    centres = places[rng.integers(len(places))][None]
    while len(centres) < branches:
        away = _distances(places, centres).min(axis=1)
        centres = np.vstack([centres, places[rng.choice(len(places), p=away / away.sum())]])
    for _ in range(_ROUNDS):
        nearest = np.argmin(_distances(places, centres), axis=1).astype(np.int64)
        sizes = np.bincount(nearest, minlength=branches)[:, None]
        sums = np.stack([np.bincount(nearest, axis, branches) for axis in places.T], axis=1)
        moved = np.where(sizes > 0, sums / np.maximum(sizes, 1), centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    final: Branches = np.argmin(_distances(places, centres), axis=1).astype(np.int64)
    return final


def by_spend(mean_amounts: Floats, branches: int) -> Branches:
    """Cut customers into segments of spending: branch 0 has the small spenders, and the most.

    Args:
        mean_amounts: Of each customer's transactions, float64 (customers,).
        branches: How many; sizes fall by a constant factor, the last has a tenth of the first.

    Returns:
        Branch of each customer, int64 (customers,).

    Raises:
        UsageError: Fewer customers than branches.
    """
    _enough(len(mean_amounts), branches)
    shares = _SPREAD ** -np.linspace(0, 1, branches)
    ends = np.cumsum(shares / shares.sum())[:-1] * len(mean_amounts)
    rank = np.argsort(np.argsort(mean_amounts, kind="stable"), kind="stable")
    return np.searchsorted(ends, rank, side="right").astype(np.int64)


def _distances(places: Floats, centres: Floats) -> Floats:
    difference = places[:, None, :] - centres[None, :, :]
    squares: Floats = (difference**2).sum(axis=2)
    return squares


def _enough(customers: int, branches: int) -> None:
    if not 1 <= branches <= customers:
        raise UsageError(f"{customers} customers cannot make {branches} branches; ask for fewer")
