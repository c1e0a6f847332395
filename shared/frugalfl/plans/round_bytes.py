"""How many bytes a client of a round costs, by plan: an estimate, to choose a plan by.

Fitted to whole rounds by default codecs: digits and vibration signals with 40 clients, 10 a round
(``benchmarks/results/subspaces.json``), and nets of 10,403 and 20,803 weights with 4 to 40 clients.
It is within a fifth of all of these.
"""

from __future__ import annotations

from math import pow, sqrt

#: Of a frame, what its numbers do not take (B).
_HEAD_B = 28
#: Of an update of all weights: bytes by the root of weights, for one client a round, and by which
#: power of clients they become fewer, since steps are coarser where a mean has more of them.
_UP_B, _UP_POWER = 3.0, -0.43
#: Of a number that changed on the way down, and of a coordinate on either way (B).
_CHANGED_B, _COORDINATE_UP_B, _COORDINATE_DOWN_B = 0.6, 1 / 6, 0.177
#: Of a number of a whole model that is not drawn from a seed (B).
_FIRST_B = 1.4


def downlink_share(clients: int) -> float:
    """Return the share of entries that is worth sending after a round of so many clients.

    Few clients make a noisy mean, and each of them then misses more rounds: 1.5 % for 10 clients,
    0.65 % for 3, found on digits; with 1 % for 10 clients a point of accuracy was lost.
    """
    return float(min(0.003 * clients**0.7, 0.03))


def full_round_b(weights: int, clients: int, asked: int, budget_b: int = 0) -> float:
    """Return what an update of all weights takes, and the way down before it (B).

    Args:
        weights: Numbers that train and travel.
        clients: How many there are.
        asked: How many of them a round asks.
        budget_b: Most bytes of an update; 0: any.
    """
    up = _HEAD_B + _UP_B * pow(asked, _UP_POWER) * sqrt(weights)
    changed = min(downlink_share(asked) * clients / asked, 1.0) * weights
    return min(up, budget_b or up) + _HEAD_B + _CHANGED_B * changed


def update_b(dimension: int) -> float:
    """Return what an update of a subspace's coordinates takes (B)."""
    return _HEAD_B + _COORDINATE_UP_B * dimension


def subspace_round_b(dimension: int, every: int, clients: int, asked: int) -> float:
    """Return what an update of a subspace takes, and the way down before it (B).

    Args:
        dimension: Coordinates.
        every: Rounds between folds.
        clients: How many there are.
        asked: How many of them a round asks.
    """
    folds = clients / asked / every
    return update_b(dimension) + (1 + folds) * (_HEAD_B + _COORDINATE_DOWN_B * dimension)


def first_model_b(numbers: int) -> float:
    """Return what a client is sent before its first round, if a seed does not say it (B)."""
    return _HEAD_B + _FIRST_B * numbers


def first_model_each_round_b(first_b: float, clients: int, asked: int, rounds: int) -> float:
    """Return what first models come to, shared out over all rounds of all clients (B).

    Args:
        first_b: Bytes of one (B).
        clients: How many there are; each is sent one if it is asked at all in the run.
        asked: How many of them a round asks, drawn anew each time.
        rounds: How many.
    """
    share = min(asked / clients, 1.0)
    asked_once = 1 - pow(1 - share, rounds)
    return first_b * asked_once / (share * rounds)
