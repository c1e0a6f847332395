"""Records of schema 1, one source and no components, as records of today."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from frugalfl.energy.record_json import from_dict

#: Columns of schema 1, in a ledger and in ``energy.parquet``.
COLUMNS = (
    "run", "client", "round", "phase", "start_unix_s", "wall_s", "cpu_s", "energy_j", "idle_j",
    "measured", "method", "source", "uncertainty_rel", "samples", "uplink_bytes", "downlink_bytes",
)  # fmt: skip
_READING = ("energy_j", "idle_j", "method", "source", "uncertainty_rel")


def upgrade_row(row: Mapping[str, Any]) -> Any:
    """Return the record of today that says what a row of schema 1 said.

    Its ``download`` was the decoding of what came down: that is ``decode`` today.

    Raises:
        ValueError: It is no such row.
    """
    if row.keys() != set(COLUMNS):
        raise ValueError(f"it has the columns {', '.join(row)}")
    kept = {name: row[name] for name in COLUMNS if name not in (*_READING, "measured")}
    reading = {name: row[name] for name in _READING} | {
        "measured": bool(row["measured"]), "component": "cpu", "scope": "process",
    }  # fmt: skip
    return from_dict(
        kept | {
            "phase": "decode" if row["phase"] == "download" else row["phase"],
            "device": str(row["source"]).partition(":")[0], "readings": [reading],
            "correct": None, "contacts": 0, "link": "", "grid": None, "software": "",
        }
    )  # fmt: skip
