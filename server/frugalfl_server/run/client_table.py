"""What each client of a run took part in, sent, received and used, as one table."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from frugalfl.energy import SERVER, EnergyRecord
from frugalfl.energy.record import known_sum
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.records import QUARANTINE
from frugalfl_server.run.sealed import reading

_COLUMNS = pa.schema(
    [
        ("client", pa.string()), ("device", pa.string()), ("rounds", pa.int64()),
        ("uplink_bytes", pa.int64()), ("downlink_bytes", pa.int64()),
        ("measured_j", pa.float64()), ("estimated_j", pa.float64()),
    ]
)  # fmt: skip


def clients_of(run: RunDirectory) -> pa.Table:
    """Add up what each client did; joules that nobody knows are null.

    A client of which no energy record tells is there with its bytes, as ``node N`` if nobody knows
    which one it is.

    Args:
        run: The run.

    Returns:
        One row a client, in the order of their numbers; bytes in B, joules in J.

    Raises:
        RunError: A file of the run is damaged.
    """
    groups: dict[str, list[EnergyRecord]] = defaultdict(list)
    for record in run.energy:
        if record.client != SERVER:
            groups[record.client].append(record)
    others: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for one in unrecorded(run):
        others[one["client"]].append(one)
    names = sorted({*groups, *others}, key=lambda name: (len(name), name))
    rows = [_row(name, groups.get(name, []), others.get(name, [])) for name in names]
    return pa.Table.from_pylist(rows, _COLUMNS)


def unrecorded(run: RunDirectory) -> list[dict[str, Any]]:
    """Return what nodes sent and were sent of which no energy record tells; older runs know none.

    Returns:
        By node: ``client``, its number or ``node N``; ``rounds``; ``uplink_bytes``, ``None`` if not
        known; ``downlink_bytes``.

    Raises:
        RunError: The file is damaged.
    """
    if not os.path.lexists(run.path / QUARANTINE):
        return []
    known = run.read_json(QUARANTINE).get("unrecorded", [])
    with reading(run.path / QUARANTINE):
        return [
            {
                "client": str(one.get("client") or f"node {one['node']}"),
                "rounds": [int(number) for number in one["rounds"]],
                "uplink_bytes": _count(one["uplink_bytes"]),
                "downlink_bytes": _count(one["downlink_bytes"]),
            }
            for one in known
        ]


def _count(value: object) -> int | None:
    if value is None or (type(value) is int and 0 <= value < 1 << 63):
        return value
    raise ValueError(f"it counts {value!r:.40} bytes")


def _row(
    client: str, records: list[EnergyRecord], others: list[Mapping[str, Any]]
) -> dict[str, str | int | float | None]:
    rounds = {record.round for record in records}.union(*(one["rounds"] for one in others))
    up = [record.uplink_bytes for record in records] + [one["uplink_bytes"] for one in others]
    down = [record.downlink_bytes for record in records] + [one["downlink_bytes"] for one in others]
    return {
        "client": client,
        "device": records[-1].device if records else None,
        "rounds": len(rounds),
        "uplink_bytes": known_sum(up),
        "downlink_bytes": known_sum(down),
        "measured_j": known_sum(record.measured_j for record in records),
        "estimated_j": known_sum(record.estimated_j for record in records),
    }
