"""What one device takes of a window in which several were worked for at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from frugalfl.energy.meter import Window
from frugalfl.energy.reading import Reading
from frugalfl.energy.record import significant
from frugalfl.text import printable

#: Ends the source of each reading that is a share.
SHARED = "its share, by rows x epochs, of what a batch of clients took together"


class Share(NamedTuple):
    """A device's part of a window, rounded as records are; names are those of a record.

    Attributes:
        start_unix_s: When the window began (s since 1970).
        wall_s: The part of its time (s).
        cpu_s: The part of its processor time (s).
        readings: The part of its joules; what is unknown of the whole is unknown of the part.
    """

    start_unix_s: float
    wall_s: float | None
    cpu_s: float | None
    readings: tuple[Reading, ...]


def share_out(window: Window, works: Sequence[float]) -> list[Share]:
    """Return a part of a window for each device, in proportion to its work.

    Args:
        window: It has ended.
        works: Of each device, in any unit; equal parts if all are 0.
    """
    total = sum(works)
    of_work = {
        work: _part(window, work / total if total else 1 / len(works)) for work in set(works)
    }
    return [of_work[work] for work in works]


def _part(window: Window, part: float) -> Share:
    readings = [
        Reading(
            one.component, _times(one.energy_j, part), _times(one.idle_j, part), one.measured,
            one.method, printable(f"{one.source}; {SHARED}"), one.scope, one.uncertainty_rel,
        )
        for one in window.readings
    ]  # fmt: skip
    return Share(
        round(window.start_unix_s, 3), _times(window.wall_s, part), _times(window.cpu_s, part),
        tuple(readings),
    )  # fmt: skip


def _times(value: float | None, part: float) -> float | None:
    return None if value is None else significant(value * part)
