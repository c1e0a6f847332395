"""What every meter offers: named windows around the phases of a round."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from frugalfl.energy.reading import Reading


@dataclass
class Window:
    """One measured stretch; the fields are final once its ``with`` block has ended.

    Attributes:
        phase: The window's name.
        start_unix_s: When it began (s since 1970).
        wall_s: How long it took (s, monotonic clock).
        cpu_s: Processor time of this process in it (s).
        readings: Joules by component.
    """

    phase: str
    start_unix_s: float
    wall_s: float = 0.0
    cpu_s: float = 0.0
    readings: tuple[Reading, ...] = ()


class Meter(Protocol):
    """A source of joules, measured or estimated."""

    def window(self, phase: str) -> AbstractContextManager[Window]:
        """Meter everything inside the ``with`` block; windows may follow one another and nest."""
