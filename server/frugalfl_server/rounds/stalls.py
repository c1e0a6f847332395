"""How often the task's first measure has stalled: what ends training, or makes its steps smaller.

All of it is computed from the table of rounds, so that a resumed run, which has that table, goes on
with the same bits.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from frugalfl.kinds import Scoring
from frugalfl.metrics import words
from frugalfl.settings import Settings
from frugalfl_server.run.records import RoundRecord, score_of

_log = logging.getLogger(__name__)


def stalls_in(rounds: Sequence[RoundRecord], scoring: Scoring, patience: int) -> int:
    """Count how often so many rounds in a row brought nothing better than all before them.

    A round in which nobody measured tells nothing, and counts as none.

    Args:
        rounds: Of one federation and phase, in their order.
        scoring: What they were measured by; the first measure and its direction count.
        patience: Rounds in a row.
    """
    sign = 1 if scoring.better(scoring.headline) == "higher" else -1
    best, waited, stalls = -float("inf"), 0, 0
    for record in rounds:
        value = score_of(record, scoring.headline)
        if value is None:
            continue
        waited = 0 if sign * value > best else waited + 1
        best = max(best, sign * value)
        if waited == patience:
            stalls, waited = stalls + 1, 0
    return stalls


def rounds_text(count: int) -> str:
    """Say a number of rounds."""
    return f"{count} round{'s' * (count != 1)}"


def step_size_after(
    rounds: Sequence[RoundRecord], scoring: Scoring, settings: Settings, number: int
) -> float:
    """Return the step size that the requests of a round name; 0: clients know it themselves.

    Args:
        rounds: As of :func:`stalls_in`.
        scoring: Likewise.
        settings: With ``schedule = "plateau(...)"``, or another one.
        number: The round, from 1; it tells training from recovery.
    """
    plateau = settings.train.plateau
    if plateau is None:
        return 0.0
    stalls = stalls_in(rounds, scoring, plateau.patience)
    rate = settings.learning_rate_at(number, stalls)
    if rounds and stalls > stalls_in(rounds[:-1], scoring, plateau.patience):
        _log.info(
            f"round {number}: no better {words(scoring.headline)} in "
            f"{rounds_text(plateau.patience)}, so the step size is {rate:g}"
        )
    return rate
