"""What one device takes of a window in which several were worked for at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from frugalfl.energy.meter import Window
from frugalfl.energy.reading import Reading

#: Ends the source of each reading that is a share.
SHARED = "its share, by rows x epochs, of what a batch of clients took together"


def share_out(window: Window, works: Sequence[float]) -> list[Window]:
    """Return a window for each device, in proportion to its work; they add up to the whole.

    What is unknown of the whole is unknown of each part.

    Args:
        window: It has ended.
        works: Of each device, in any unit; equal shares if all are 0.
    """
    total = sum(works)
    parts = [work / total for work in works] if total else [1 / len(works)] * len(works)
    labelled = [replace(one, source=f"{one.source}; {SHARED}") for one in window.readings]
    return [_part(window, labelled, part) for part in parts]


def _part(window: Window, readings: Sequence[Reading], part: float) -> Window:
    return Window(
        window.phase, window.start_unix_s, window.wall_s * part, window.cpu_s * part,
        tuple(
            Reading(
                one.component, _times(one.energy_j, part), _times(one.idle_j, part), one.measured,
                one.method, one.source, one.scope, one.uncertainty_rel,
            )
            for one in readings
        ),
    )  # fmt: skip


def _times(value: float | None, part: float) -> float | None:
    return None if value is None else value * part
