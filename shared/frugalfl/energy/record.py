"""The energy record: joules of one phase of one round on one device, and how they were obtained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

#: Raised with every change of :class:`EnergyRecord`; written into each ledger.
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class EnergyRecord:
    """One row of the energy ledger.

    Attributes:
        run: Name of the run.
        client: Number of the client, as text.
        round: Round of the run, from 1.
        phase: ``download``, ``train``, ``encode`` or ``calibrate``.
        start_unix_s: When the phase began (s since 1970, wall clock).
        wall_s: How long it took (s, monotonic clock).
        cpu_s: Processor time of this process in it (s, all threads).
        energy_j: Joules that the work added above idle; ``None`` where nothing is known, never 0.
        idle_j: Joules the device would have used anyway in ``wall_s``; ``None`` where unknown.
        measured: True only if a meter measured ``energy_j``; otherwise it is an estimate.
        method: How: the meter's name.
        source: From what: the device profile or the meter's files.
        uncertainty_rel: Relative uncertainty of ``energy_j`` (coverage factor 2).
        samples: The device's rows that were trained on, or calibrated with.
        uplink_bytes: Length of the frame sent because of this phase (B).
        downlink_bytes: Length of the frames received before this phase (B).
    """

    run: str
    client: str
    round: int
    phase: str
    start_unix_s: float
    wall_s: float
    cpu_s: float
    energy_j: float | None
    idle_j: float | None
    measured: bool
    method: str
    source: str
    uncertainty_rel: float | None
    samples: int = 0
    uplink_bytes: int = 0
    downlink_bytes: int = 0


@dataclass(frozen=True)
class Totals:
    """Sums that never mix what was measured with what was estimated.

    Attributes:
        measured_j: Joules from meters; ``None`` if no record was measured.
        estimated_j: Joules from models; ``None`` if no record was estimated.
        unknown: Records without joules.
    """

    measured_j: float | None
    estimated_j: float | None
    unknown: int

    def as_summary(self) -> dict[str, float | None]:
        """Return the two sums under the names of ``summary.json``."""
        return {"measured": self.measured_j, "estimated": self.estimated_j}


def totals(records: Iterable[EnergyRecord]) -> Totals:
    """Add up records, measured and estimated apart."""
    measured: float | None = None
    estimated: float | None = None
    unknown = 0
    for record in records:
        if record.energy_j is None:
            unknown += 1
        elif record.measured:
            measured = (measured or 0.0) + record.energy_j
        else:
            estimated = (estimated or 0.0) + record.energy_j
    return Totals(measured, estimated, unknown)
