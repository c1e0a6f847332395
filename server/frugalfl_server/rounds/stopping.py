"""When training ends before its last round: good enough, no better any more, enough joules."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from frugalfl.energy.record import known_sum
from frugalfl.errors import UsageError
from frugalfl.kinds import ACCURACY, Scoring
from frugalfl.metrics import words
from frugalfl.settings import Settings
from frugalfl_server.rounds.stalls import rounds_text, stalls_in
from frugalfl_server.run.records import RoundRecord, score_of

#: Rounds whose mean accuracy counts: a single one may be lucky.
_ROUNDS = 3


class TrainingOver(Exception):  # noqa: N818 (nothing has gone wrong)
    """Leaves the fixed loop of Flower's strategies; the message says why, in one line."""


def check_stop(settings: Settings, scoring: Scoring, clients_measure: bool = False) -> None:
    """Refuse what goes by a measure that this run's models never have.

    Args:
        settings: Of the run.
        scoring: What its models are measured by.
        clients_measure: Whether only clients measure them, and send sums.

    Raises:
        UsageError: So it is.
    """
    rounds, headline = settings.rounds, scoring.headline
    if rounds.stop_accuracy and scoring.kind.accuracy is None:
        raise UsageError(
            f"stop-accuracy is {rounds.stop_accuracy:g}, but a {scoring.kind.name} has no "
            f"accuracy: set stop-score, which is about its {words(headline)}"
        )
    if not clients_measure or headline == ACCURACY or headline in scoring.kind.measures:
        return
    going_by_it = {
        "stop-score": rounds.stop_score,
        "stop-patience": rounds.stop_patience,
        "schedule = plateau": settings.train.plateau,
    }
    for key, there in going_by_it.items():
        if there:
            raise UsageError(
                f"{key} goes by {words(headline)}, a metric of the task's own, but with private "
                "blocks only clients measure, and their sums do not tell it; leave one of them out"
            )


def why_over(settings: Settings, rounds: Sequence[RoundRecord], scoring: Scoring) -> str:
    """Say why training is over after these rounds; empty: it goes on.

    Args:
        settings: With ``stop_accuracy``, ``stop_score``, ``stop_patience`` and ``stop_joules``.
        rounds: All rounds of one federation so far.
        scoring: What they were measured by.
    """
    stop = settings.rounds
    limits = {
        "stop-accuracy": (ACCURACY, stop.stop_accuracy),
        "stop-score": (scoring.headline, stop.stop_score),
    }
    for key, (name, limit) in limits.items():
        mean = _mean(rounds, name)
        if not limit or mean is None:
            continue
        if mean >= limit if scoring.better(name) == "higher" else mean <= limit:
            return (
                f"{words(name)} {mean:.3f} over the last {_ROUNDS} rounds has reached {key} "
                f"{limit:g}"
            )
    trained = [record for record in rounds if record.phase == "train"]
    if stop.stop_patience and stalls_in(trained, scoring, stop.stop_patience):
        return (
            f"no better {words(scoring.headline)} in {rounds_text(stop.stop_patience)}, "
            "which is stop-patience"
        )
    # A threshold wants one number: the two kinds of joules add up here and are not reported so.
    spent_j = known_sum(
        joules
        for record in rounds
        for joules in (record.energy_measured_j, record.energy_estimated_j)
    )
    if stop.stop_joules and spent_j is not None and spent_j >= stop.stop_joules:
        return f"the clients have used {spent_j:.4g} J, of stop-joules {stop.stop_joules:g}"
    return ""


def _mean(rounds: Sequence[RoundRecord], name: str) -> float | None:
    """Return the mean of the last rounds; ``None``: they are too few, or one is not known."""
    values = [score_of(record, name) for record in rounds[-_ROUNDS:]]
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if len(known) == _ROUNDS else None
