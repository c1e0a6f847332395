"""Turns what happens inside ``with`` blocks into energy records, in the order of their ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from frugalfl.energy.meter import Meter
from frugalfl.energy.record import EnergyRecord, record_of


@dataclass
class Outcome:
    """What a phase found out beside its joules.

    Attributes:
        correct: Rows that the model got right; ``None``: nobody looked.
    """

    correct: int | None = None


class Recorder:
    """Collects records whose other fields stay the same."""

    def __init__(self, meter: Meter, **about: Any) -> None:
        self._meter = meter
        #: Fields that are the same in all records.
        self.about = about
        self._records: list[EnergyRecord] = []

    @contextmanager
    def window(self, phase: str, apart: bool = False, **about: Any) -> Iterator[Outcome]:
        """Meter the ``with`` block; work that raised leaves no record.

        Args:
            phase: Of the record.
            apart: Windows around it do not count what this one does.
            about: The record's other fields.
        """
        outcome = Outcome()
        with self._meter.window(phase, apart) as window:
            yield outcome
        self.add(record_of(window, correct=outcome.correct, **self.about, **about))

    def add(self, record: EnergyRecord) -> None:
        """Add a record that was made elsewhere."""
        self._records.append(record)

    def take(self) -> tuple[EnergyRecord, ...]:
        """Return the records since the last call."""
        taken, self._records = tuple(self._records), []
        return taken
