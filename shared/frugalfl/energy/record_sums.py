"""Sums of energy records that never mix what was measured with what was estimated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from frugalfl.energy.record import EnergyRecord, Joules, joules_of, known_sum


@dataclass(frozen=True)
class Totals:
    """What records add up to.

    Attributes:
        records: How many there are.
        unknown: How many of them have no joules.
        cpu_s: Processor time (s); ``None`` if nothing was timed.
        measured_j: Joules from meters; ``None`` if no record was measured.
        estimated_j: Joules from models; ``None`` if no record was estimated.
        idle_j: Joules that the devices would have used anyway; ``None`` if not known of any.
        measured_g: Grams of CO2e of the measured joules; ``None`` if no grid was stated.
        estimated_g: Grams of CO2e of the estimated joules; ``None`` if no grid was stated.
        ungridded: Records with joules but without a grid: the grams leave them out.
        correct: Predictions that were right, if anybody looked.
        measured_j_per_correct: Measured joules of those records alone, over ``correct``.
        estimated_j_per_correct: Estimated joules of those records alone, over ``correct``.
    """

    records: int
    unknown: int
    cpu_s: float | None
    measured_j: float | None
    estimated_j: float | None
    idle_j: float | None
    measured_g: float | None
    estimated_g: float | None
    ungridded: int
    correct: int | None
    measured_j_per_correct: float | None
    estimated_j_per_correct: float | None

    def as_summary(self) -> dict[str, float | None]:
        """Return the two sums of joules under the names of ``summary.json``."""
        return {"measured": self.measured_j, "estimated": self.estimated_j}

    def carbon_summary(self) -> dict[str, float | None]:
        """Return the two sums of grams under the names of ``summary.json``."""
        return {"measured": self.measured_g, "estimated": self.estimated_g}


def totals(records: Iterable[EnergyRecord]) -> Totals:
    """Add up records, measured and estimated apart."""
    rows = list(records)
    joules = list(map(joules_of, rows))
    measured_j = [one.measured_j for one in joules]
    estimated_j = [one.estimated_j for one in joules]
    known = [row for row, one in zip(rows, joules, strict=True) if _is_known(one)]
    scored = [r for r in rows if r.correct is not None]
    correct = sum(r.correct or 0 for r in scored) if scored else None
    return Totals(
        records=len(rows),
        unknown=len(rows) - len(known),
        cpu_s=known_sum([r.cpu_s for r in rows]),
        measured_j=known_sum(measured_j),
        estimated_j=known_sum(estimated_j),
        idle_j=known_sum([one.idle_j for one in joules]),
        measured_g=known_sum(map(_grams, rows, measured_j)),
        estimated_g=known_sum(map(_grams, rows, estimated_j)),
        ungridded=sum(r.grid is None for r in known),
        correct=correct,
        measured_j_per_correct=_each(known_sum(r.measured_j for r in scored), correct),
        estimated_j_per_correct=_each(known_sum(r.estimated_j for r in scored), correct),
    )


def spent(records: Iterable[EnergyRecord]) -> Totals:
    """Add up what devices used: nothing is known if no joules of any work are.

    Of a microcontroller that trains only the radio is known, which may take nothing; that is not
    what the device used. Unlike :func:`totals`, such sums must not be added up further.
    """
    rows = list(records)
    if not _is_work_known(rows):
        return replace(
            totals(rows), measured_j=None, estimated_j=None, measured_g=None, estimated_g=None
        )
    return totals(rows)


def spent_joules(records: Sequence[EnergyRecord]) -> tuple[float | None, float | None]:
    """Return of the same only the joules, measured and estimated."""
    if not _is_work_known(records):
        return None, None
    joules = list(map(joules_of, records))
    return (
        known_sum([one.measured_j for one in joules]),
        known_sum([one.estimated_j for one in joules]),
    )


def _is_work_known(records: Sequence[EnergyRecord]) -> bool:
    """Say whether the joules of any work are known, if there was any."""
    work = [record for record in records if record.wall_s is not None]
    return not work or any(_is_known(joules_of(record)) for record in work)


def _is_known(joules: Joules) -> bool:
    return joules.measured_j is not None or joules.estimated_j is not None


def _grams(record: EnergyRecord, joules: float | None) -> float | None:
    return None if record.grid is None else record.grid.grams(joules)


def _each(joules: float | None, correct: int | None) -> float | None:
    return joules / correct if joules is not None and correct else None
