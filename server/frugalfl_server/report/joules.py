"""Energy records, added up by client and by source; measured and estimated never mix."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from frugalfl.energy import EnergyRecord, Totals, totals
from frugalfl_server.report.texts import energy

#: In the order they happen; other phases come behind.
PHASES = ("download", "train", "encode", "calibrate")


@dataclass(frozen=True)
class ClientJoules:
    """What one client used in the whole run, of one kind.

    Attributes:
        client: Number of the client, as text.
        measured: Whether these are joules from a meter.
        phases: Joules by phase.
        rounds: Rounds that the client took part in.
        uncertainty_rel: The largest relative uncertainty among the records (k = 2).
    """

    client: str
    measured: bool
    phases: dict[str, float]
    rounds: int
    uncertainty_rel: float | None

    @property
    def total_j(self) -> float:
        """Joules of all phases."""
        return sum(self.phases.values())

    @property
    def word(self) -> str:
        """``measured`` or ``estimated``."""
        return "measured" if self.measured else "estimated"


@dataclass(frozen=True)
class Source:
    """Where joules come from, and how many."""

    method: str
    source: str
    uncertainty_rel: float | None
    clients: int
    records: int
    totals: Totals

    @property
    def joules(self) -> str:
        """The joules with their word, and how many records have none."""
        unknown = self.totals.unknown
        known = energy(self.totals.as_summary())
        return f"{known}; {unknown:,} records without joules" if unknown else known


def phases_of(records: Sequence[EnergyRecord]) -> list[str]:
    """Return the phases that occur, in the order they happen."""
    seen = {record.phase for record in records}
    return [phase for phase in PHASES if phase in seen] + sorted(seen.difference(PHASES))


def by_client(records: Sequence[EnergyRecord]) -> list[ClientJoules]:
    """Add up the known joules of each client, the most first."""
    groups: dict[tuple[str, bool], list[EnergyRecord]] = defaultdict(list)
    for record in records:
        if record.energy_j is not None:
            groups[record.client, record.measured].append(record)
    clients = [_client(*key, group) for key, group in groups.items()]
    return sorted(clients, key=lambda one: (-one.total_j, one.client))


def by_source(records: Sequence[EnergyRecord]) -> list[Source]:
    """Group the records by how their joules were obtained."""
    groups: dict[tuple[bool, str, str, float | None], list[EnergyRecord]] = defaultdict(list)
    for record in records:
        key = (record.measured, record.method, record.source, record.uncertainty_rel)
        groups[key].append(record)
    return [
        Source(
            method=method,
            source=source,
            uncertainty_rel=uncertainty,
            clients=len({record.client for record in group}),
            records=len(group),
            totals=totals(group),
        )
        for (_, method, source, uncertainty), group in groups.items()
    ]


def _client(client: str, measured: bool, records: Sequence[EnergyRecord]) -> ClientJoules:
    phases: dict[str, float] = defaultdict(float)
    for record in records:
        phases[record.phase] += record.energy_j or 0.0
    known = [r.uncertainty_rel for r in records if r.uncertainty_rel is not None]
    return ClientJoules(
        client=client,
        measured=measured,
        phases=dict(phases),
        rounds=len({record.round for record in records}),
        uncertainty_rel=max(known, default=None),
    )
