"""The energy record: joules of one phase of one round on one device, and how they were obtained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, NamedTuple

from frugalfl.energy.electricity import Electricity
from frugalfl.energy.meter import Window
from frugalfl.energy.reading import Reading, countable_readings
from frugalfl.text import printable

#: Raised with every change of :class:`EnergyRecord`; written into each ledger.
SCHEMA_VERSION = 2
#: What stands for a client's number in the records of the server.
SERVER = "server"


@dataclass(frozen=True)
class EnergyRecord:
    """One row of the energy ledger.

    Attributes:
        run: Name of the run.
        client: Number of the client, as text, and nothing else of its owner; or :data:`SERVER`.
        round: Round of the run, from 1.
        phase: On a client ``download``, ``decode``, ``prepare``, ``trial`` (of its trainers),
            ``evaluate``, ``train``, ``encode``, ``calibrate`` and ``upload``; on the server
            ``encode``, ``compile``, ``aggregate``, ``evaluate``, ``prune``, ``export``, ``trial``
            (of a simulation's trainers), and ``setup`` for loading what these need. A download or
            an upload is the transfer alone, which the node does outside the client's own process:
            bytes and contacts, and what the radio is estimated to take.
        device: Name of the device profile.
        start_unix_s: When the phase began (s since 1970, wall clock).
        wall_s: How long it took (s, monotonic clock); ``None`` for a transfer, which is not timed.
        cpu_s: Processor time of this process in it (s, all threads); ``None`` for a transfer.
        readings: Joules by component.
        samples: Rows that were trained on, evaluated or calibrated with.
        correct: Rows that the model got right; ``None`` if nobody looked.
        uplink_bytes: Length of the frame that is sent (B).
        downlink_bytes: Length of the frames that were received (B).
        contacts: Connections that the transfer takes.
        link: What the device says it is connected by; empty: it does not say.
        grid: Carbon intensity of the device's electricity; ``None``: not stated.
        software: Versions of FrugalFL, the trainer and the runtime.
    """

    run: str
    client: str
    round: int
    phase: str
    device: str
    start_unix_s: float
    wall_s: float | None
    cpu_s: float | None
    readings: tuple[Reading, ...]
    samples: int = 0
    correct: int | None = None
    uplink_bytes: int = 0
    downlink_bytes: int = 0
    contacts: int = 0
    link: str = ""
    grid: Electricity | None = None
    software: str = ""

    @property
    def measured_j(self) -> float | None:
        """Joules above idle from meters; ``None``: none was metered."""
        return joules_of(self).measured_j

    @property
    def estimated_j(self) -> float | None:
        """Joules above idle from models; ``None``: none was estimated."""
        return joules_of(self).estimated_j

    @property
    def idle_j(self) -> float | None:
        """Joules that the device would have used anyway; ``None``: not known."""
        return joules_of(self).idle_j

    @property
    def measured_g(self) -> float | None:
        """Grams of CO2e of ``measured_j``; ``None``: not known."""
        return None if self.grid is None else self.grid.grams(self.measured_j)

    @property
    def estimated_g(self) -> float | None:
        """Grams of CO2e of ``estimated_j``; ``None``: not known."""
        return None if self.grid is None else self.grid.grams(self.estimated_j)


class Joules(NamedTuple):
    """What a record's readings add up to (J), each ``None`` if it is not known."""

    measured_j: float | None
    estimated_j: float | None
    idle_j: float | None


_UNKNOWN = Joules(None, None, None)


def joules_of(record: EnergyRecord) -> Joules:
    """Return a record's joules, measured, estimated and idle, at one look at its readings."""
    if len(record.readings) != 1:
        return _sums_of(countable_readings(record.readings))
    (reading,) = record.readings  # as nearly all have: nothing is to be added
    if reading.energy_j is None:
        return _UNKNOWN
    if reading.measured:
        return Joules(reading.energy_j, None, reading.idle_j)
    return Joules(None, reading.energy_j, reading.idle_j)


def _sums_of(readings: Sequence[Reading]) -> Joules:
    return Joules(
        known_sum(one.energy_j for one in readings if one.measured),
        known_sum(one.energy_j for one in readings if not one.measured),
        known_sum(one.idle_j for one in readings),
    )


def record_of(window: Window, **about: Any) -> EnergyRecord:
    """Make the record of a window.

    Args:
        window: A window that has ended.
        about: The record's other fields.
    """
    return EnergyRecord(
        phase=window.phase,
        start_unix_s=round(window.start_unix_s, 3),
        wall_s=significant(window.wall_s),
        cpu_s=significant(window.cpu_s),
        readings=tuple(map(round_reading, window.readings)),
        **about,
    )


def record_from(about: Mapping[str, Any], phase: str, **own: Any) -> EnergyRecord:
    """Make a record of fields that are as they have to be, for many devices at once.

    The constructor of a frozen class sets one field after the other, which takes four times as
    long.

    Args:
        about: Fields that all records of a device share in a round.
        phase: Of the record.
        own: The others; what goes without saying may be left out.
    """
    made = object.__new__(EnergyRecord)
    vars(made).update(_BY_DEFAULT, phase=phase, **about, **own)
    return made


#: Fields that have a default.
_BY_DEFAULT = {one.name: one.default for one in fields(EnergyRecord) if one.default is not MISSING}


def round_reading(reading: Reading) -> Reading:
    """Return a reading as it is kept: six significant digits, more are noise and cost bytes.

    Its source may be what a driver calls itself, which nobody has looked at.
    """
    energy_j, idle_j = significant(reading.energy_j), significant(reading.idle_j)
    return replace(reading, energy_j=energy_j, idle_j=idle_j, source=printable(reading.source))


def significant(value: float | None) -> float | None:
    """Round to six significant digits.

    >>> significant(0.012345678), significant(None)
    (0.0123457, None)
    """
    return None if value is None else float(f"{value:.6g}")


def known_sum(values: Iterable[float | None]) -> float | None:
    """Add up what is known; ``None``, not 0, if nothing is.

    >>> known_sum([1.0, None, 2.0]), known_sum([None])
    (3.0, None)
    """
    known = [value for value in values if value is not None]
    return sum(known) if known else None
