"""Energy records as flat rows, one value a column: for tables, CSV and Parquet."""

from __future__ import annotations

from typing import Any

from frugalfl.energy.reading import COMPONENTS
from frugalfl.energy.record import EnergyRecord
from frugalfl.energy.record_json import as_dict

#: What is computed from the readings; there for other tools, and not read back.
DERIVED: dict[str, type] = {
    "measured_j": float, "estimated_j": float, "idle_j": float, "measured_g": float,
    "estimated_g": float, **{f"{component}_j": float for component in COMPONENTS}, "methods": str,
}  # fmt: skip
#: The fields of a record but its readings; those of its grid behind ``grid_``.
PLAIN: dict[str, type] = {
    "run": str, "client": str, "round": int, "phase": str, "device": str, "start_unix_s": float,
    "wall_s": float, "cpu_s": float, "samples": int, "correct": int, "uplink_bytes": int,
    "downlink_bytes": int, "contacts": int, "link": str, "software": str,
    "grid_region": str, "grid_g_per_kwh": float, "grid_year": int, "grid_table": str,
}  # fmt: skip
_GRID = ("region", "g_per_kwh", "year", "table")


def flat(record: EnergyRecord) -> dict[str, Any]:
    """Return a record under the names of :data:`PLAIN` and :data:`DERIVED`."""
    values = as_dict(record)
    grid = values.pop("grid") or {}
    row = {name: values[name] for name in PLAIN if name in values}
    row |= {f"grid_{name}": grid.get(name) for name in _GRID}
    row |= {
        name: getattr(record, name)
        for name in ("measured_j", "estimated_j", "idle_j", "measured_g", "estimated_g")
    }
    joules = {reading.component: reading.energy_j for reading in record.readings}
    row |= {f"{component}_j": joules.get(component) for component in COMPONENTS}
    return row | {"methods": methods(record)}


def unflat(row: dict[str, Any], readings: Any) -> dict[str, Any]:
    """Return the plain values of a record, from its flat row and its readings."""
    values = {name: row[name] for name in PLAIN if not name.startswith("grid_")}
    stated = row["grid_g_per_kwh"] is not None
    grid = {name: row[f"grid_{name}"] for name in _GRID} if stated else None
    return values | {"grid": grid, "readings": readings}


def methods(record: EnergyRecord) -> str:
    """Name how each component's joules were obtained: ``cpu estimated by cpu-time``."""
    return "; ".join(
        f"{r.component} {'measured' if r.measured else 'estimated'} by {r.method}"
        for r in record.readings
    )
