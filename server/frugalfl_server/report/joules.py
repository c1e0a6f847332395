"""Energy records, added up by client and by source; measured and estimated never mix."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from frugalfl.energy import SERVER, EnergyRecord, Reading, countable_readings
from frugalfl.energy.record import known_sum
from frugalfl_server.report.texts import energy

#: In the order they happen; other phases come behind.
PHASES = ("download", "decode", "prepare", "evaluate", "train", "encode", "calibrate", "upload")


@dataclass(frozen=True)
class ClientJoules:
    """What one client used in the whole run, of one kind.

    Attributes:
        client: Number of the client, as text.
        measured: Whether these are joules from a meter.
        phases: Joules by phase.
        rounds: Rounds that the client took part in.
        methods: How the joules were obtained.
        uncertainty_rel: The largest relative uncertainty among the readings (k = 2).
    """

    client: str
    measured: bool
    phases: dict[str, float]
    rounds: int
    methods: tuple[str, ...]
    uncertainty_rel: float | None

    @property
    def total_j(self) -> float:
        """Joules of all phases."""
        return sum(self.phases.values())

    @property
    def word(self) -> str:
        """``measured`` or ``estimated``, and by what."""
        return f"{'measured' if self.measured else 'estimated'} by {', '.join(self.methods)}"


@dataclass(frozen=True)
class JouleSource:
    """Where joules come from, and how many.

    Attributes:
        whose: ``clients`` or ``server``.
        component: What they are of.
        measured: Whether a meter measured them.
        method: How they were obtained.
        source: From what.
        uncertainty_rel: Relative uncertainty (k = 2).
        clients: Clients that have such readings.
        readings: How many there are.
        unknown: How many of them have no joules.
        total_j: Joules of the others; ``None`` if there are none.
    """

    whose: str
    component: str
    measured: bool
    method: str
    source: str
    uncertainty_rel: float | None
    clients: int
    readings: int
    unknown: int
    total_j: float | None

    @property
    def joules(self) -> str:
        """The joules with their word, and how many readings have none."""
        word = "measured" if self.measured else "estimated"
        known = energy({word: self.total_j})
        return f"{known}; {self.unknown:,} readings without joules" if self.unknown else known


def of_clients(records: Iterable[EnergyRecord]) -> list[EnergyRecord]:
    """Return the records of the clients, without the server's."""
    return [record for record in records if record.client != SERVER]


def phases_of(records: Sequence[EnergyRecord]) -> list[str]:
    """Return the phases in which clients used joules, in the order they happen."""
    seen = {
        record.phase for record, reading in _readings_of(of_clients(records)) if reading.energy_j
    }
    return [phase for phase in PHASES if phase in seen] + sorted(seen.difference(PHASES))


def by_client(records: Sequence[EnergyRecord]) -> list[ClientJoules]:
    """Add up the known joules of each client, the most first."""
    groups: dict[tuple[str, bool], list[tuple[EnergyRecord, Reading]]] = defaultdict(list)
    for record, reading in _readings_of(of_clients(records)):
        groups[record.client, reading.measured].append((record, reading))
    clients = [_client(*key, group) for key, group in groups.items()]
    return sorted(clients, key=lambda one: (-one.total_j, one.client))


def by_source(records: Sequence[EnergyRecord]) -> list[JouleSource]:
    """Group the readings by how their joules were obtained, the clients' before the server's."""
    groups: dict[tuple[Any, ...], list[tuple[str, float | None]]] = defaultdict(list)
    first: dict[tuple[Any, ...], Reading] = {}
    for record in records:
        own = record.client == SERVER
        known = countable_readings(record.readings)
        for reading in known or record.readings:
            key = own, *_what(reading)
            first.setdefault(key, reading)
            groups[key].append((record.client, reading.energy_j))
    return [
        JouleSource(
            whose="server" if key[0] else "clients",
            component=reading.component,
            measured=reading.measured,
            method=reading.method,
            source=reading.source,
            uncertainty_rel=reading.uncertainty_rel,
            clients=len({client for client, _ in group}),
            readings=len(group),
            unknown=sum(joules is None for _, joules in group),
            total_j=known_sum(joules for _, joules in group),
        )
        for key, group in sorted(groups.items(), key=lambda item: item[0][0])
        for reading in [first[key]]
    ]


def _readings_of(records: Iterable[EnergyRecord]) -> Iterator[tuple[EnergyRecord, Reading]]:
    for record in records:
        for reading in countable_readings(record.readings):
            yield record, reading


#: All of a reading but its joules.
_what = attrgetter("component", "measured", "method", "source", "scope", "uncertainty_rel")


def _client(
    client: str, measured: bool, group: Sequence[tuple[EnergyRecord, Reading]]
) -> ClientJoules:
    phases: dict[str, float] = defaultdict(float)
    for record, reading in group:
        phases[record.phase] += reading.energy_j or 0.0
    using = [reading for _, reading in group if reading.energy_j] or [group[0][1]]
    known = [r.uncertainty_rel for r in using if r.uncertainty_rel is not None]
    return ClientJoules(
        client=client,
        measured=measured,
        phases=dict(phases),
        rounds=len({record.round for record, _ in group}),
        methods=tuple(sorted({reading.method for reading in using})),
        uncertainty_rel=max(known, default=None),
    )
