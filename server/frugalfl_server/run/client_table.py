"""What each client of a run took part in, sent, received and used, as one table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import pyarrow as pa

from frugalfl.energy import SERVER, EnergyRecord
from frugalfl.energy.record import known_sum

_COLUMNS = pa.schema(
    [
        ("client", pa.string()), ("device", pa.string()), ("rounds", pa.int64()),
        ("uplink_bytes", pa.int64()), ("downlink_bytes", pa.int64()),
        ("measured_j", pa.float64()), ("estimated_j", pa.float64()),
    ]
)  # fmt: skip


def clients_of(records: Iterable[EnergyRecord]) -> pa.Table:
    """Add up the records of each client; joules that nobody knows are null.

    Args:
        records: Of a run, the server's own among them.

    Returns:
        One row a client, in the order of their numbers; bytes in B, joules in J.
    """
    groups: dict[str, list[EnergyRecord]] = defaultdict(list)
    for record in records:
        if record.client != SERVER:
            groups[record.client].append(record)
    ordered = sorted(groups.items(), key=lambda item: (len(item[0]), item[0]))
    return pa.Table.from_pylist([_row(*item) for item in ordered], _COLUMNS)


def _row(client: str, records: list[EnergyRecord]) -> dict[str, str | int | float | None]:
    return {
        "client": client,
        "device": records[-1].device,
        "rounds": len({record.round for record in records}),
        "uplink_bytes": sum(record.uplink_bytes for record in records),
        "downlink_bytes": sum(record.downlink_bytes for record in records),
        "measured_j": known_sum(record.measured_j for record in records),
        "estimated_j": known_sum(record.estimated_j for record in records),
    }
