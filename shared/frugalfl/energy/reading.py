"""One figure in joules and how it was obtained: what sources give and records keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: What a reading may be of. A board holds the others: see :func:`countable_readings`.
COMPONENTS = ("cpu", "dram", "gpu", "radio", "board")
#: How far a reading reaches: this process, its container, the whole board, or the plug in the wall.
SCOPES = ("process", "container", "board", "wall")


@dataclass(frozen=True)
class Reading:
    """Joules of one component over one window.

    Attributes:
        component: One of :data:`COMPONENTS`.
        energy_j: Joules above idle that this process caused; ``None`` if unknown, never 0.
        idle_j: Joules that the component would have used anyway; ``None`` if unknown.
        measured: True only if a meter measured it; otherwise it is an estimate.
        method: How: the name of the source's kind, such as ``rapl`` or ``cpu-time``.
        source: From what: the files, or the profile and its version.
        scope: One of :data:`SCOPES`: how far the meter or the model reaches.
        uncertainty_rel: Relative uncertainty of ``energy_j`` (k = 2); ``None`` if unknown.
    """

    component: str
    energy_j: float | None
    idle_j: float | None
    measured: bool
    method: str
    source: str
    scope: str
    uncertainty_rel: float | None


def countable_readings(readings: Sequence[Reading]) -> tuple[Reading, ...]:
    """Return the readings that add up to a window's joules, each joule once.

    A board's reading already holds what its processor, memory, accelerator and radio used, so the
    others are then detail; without one, or where it is unknown, they are the sum.
    """
    if len(readings) == 1 and readings[0].energy_j is not None:
        return tuple(readings)  # as nearly all records have it
    known = tuple(reading for reading in readings if reading.energy_j is not None)
    boards = tuple(reading for reading in known if reading.component == "board")
    return boards or known
