"""When training ends before its last round: enough accuracy, enough joules, or nobody left."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from frugalfl.energy.record import known_sum
from frugalfl.settings import Settings
from frugalfl_server.records import RoundRecord

#: Rounds whose mean accuracy counts: a single one may be lucky.
_ROUNDS = 3


class TrainingOver(Exception):  # noqa: N818 (nothing has gone wrong)
    """Leaves the fixed loop of Flower's strategies; the message says why, in one line."""


def why_over(settings: Settings, rounds: Sequence[RoundRecord]) -> str:
    """Say why training is over after these rounds; empty: it goes on.

    Args:
        settings: With ``stop_accuracy`` and ``stop_joules``.
        rounds: All rounds of one federation so far.
    """
    if settings.stop_accuracy and len(rounds) >= _ROUNDS:
        accuracy = statistics.fmean(record.accuracy for record in rounds[-_ROUNDS:])
        if accuracy >= settings.stop_accuracy:
            return (
                f"accuracy {accuracy:.3f} over the last {_ROUNDS} rounds has reached stop-accuracy "
                f"{settings.stop_accuracy:g}"
            )
    # A threshold wants one number: the two kinds of joules add up here and are not reported so.
    spent_j = known_sum(
        joules
        for record in rounds
        for joules in (record.energy_measured_j, record.energy_estimated_j)
    )
    if settings.stop_joules and spent_j is not None and spent_j >= settings.stop_joules:
        return f"the clients have used {spent_j:.4g} J, of stop-joules {settings.stop_joules:g}"
    return ""
