"""Energy figures as text for people and for other tools."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from frugalfl.energy.columns import DERIVED, flat
from frugalfl.energy.record import SERVER, EnergyRecord
from frugalfl.energy.record_json import as_dict
from frugalfl.energy.record_sums import Totals, spent
from frugalfl.text import for_csv, printable

#: What records can be grouped by; the server's phases are not the clients'.
GROUPS: dict[str, Callable[[EnergyRecord], str]] = {
    "phase": lambda r: f"server: {r.phase}" if r.client == SERVER else r.phase,
    "client": lambda r: r.client,
    "round": lambda r: f"server: {r.round}" if r.client == SERVER else str(r.round),
}
_METRICS = (
    ("energy_joules", "joules above idle", "measured_j", "estimated_j"),
    ("carbon_grams", "grams of CO2e of these joules, location-based", "measured_g", "estimated_g"),
)


def group_records(records: Sequence[EnergyRecord], by: str) -> dict[str, Totals]:
    """Add up records by a name of :data:`GROUPS`; numbers in their order, the server last."""
    groups: dict[str, list[EnergyRecord]] = {}
    for record in records:
        groups.setdefault(GROUPS[by](record), []).append(record)
    order = sorted(groups, key=_place) if by != "phase" else groups
    return {name: spent(groups[name]) for name in order}


def _place(name: str) -> tuple[bool, int, str]:
    return name.startswith(SERVER), len(name), name


def to_json(records: Sequence[EnergyRecord], by: str | None) -> str:
    """Return every record with its readings and sums, or the groups' sums."""
    return json.dumps(_rows(records, by, nested=True), indent=2)


def to_csv(records: Sequence[EnergyRecord], by: str | None) -> str:
    """Return one line a record, or a group (RFC 4180); empty cells are unknown, never 0.

    A text that a spreadsheet would take for a formula begins with an apostrophe; numbers are as
    they are.
    """
    rows = _rows(records, by, nested=False)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: for_csv(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _rows(records: Sequence[EnergyRecord], by: str | None, nested: bool) -> list[dict[str, Any]]:
    if by is not None:
        return [{by: name} | asdict(total) for name, total in group_records(records, by).items()]
    if not nested:
        return [flat(record) for record in records]
    return [
        as_dict(record) | {name: value for name, value in flat(record).items() if name in DERIVED}
        for record in records
    ]


def to_prometheus(records: Sequence[EnergyRecord]) -> str:
    """Return sums by client and phase in Prometheus' text format 0.0.4.

    For a textfile collector: a kind that is not known has no line.
    """
    groups: dict[tuple[str, str, str], list[EnergyRecord]] = {}
    for record in records:
        groups.setdefault((record.run, record.client, record.phase), []).append(record)
    sums = {key: spent(group) for key, group in sorted(groups.items())}
    lines = []
    for name, help_text, measured, estimated in _METRICS:
        lines += _header(name, help_text)
        for key, total in sums.items():
            for kind, field in (("measured", measured), ("estimated", estimated)):
                value = getattr(total, field)
                if value is not None:
                    labels = f'{_labels(*key)},kind="{kind}"'
                    lines.append(f"frugalfl_{name}_total{{{labels}}} {value!r}")
    lines += _header("cpu_seconds", "processor time")
    lines += [
        f"frugalfl_cpu_seconds_total{{{_labels(*key)}}} {total.cpu_s!r}"
        for key, total in sums.items()
        if total.cpu_s is not None
    ]
    return "\n".join(lines) + "\n"


def _header(name: str, help_text: str) -> list[str]:
    return [
        f"# HELP frugalfl_{name}_total {help_text}",
        f"# TYPE frugalfl_{name}_total counter",
    ]


def _labels(run: str, client: str, phase: str) -> str:
    pairs = {"run": run, "client": client, "phase": phase}
    return ",".join(f'{name}="{_escape(value)}"' for name, value in pairs.items())


def _escape(text: str) -> str:
    return printable(text).replace("\\", r"\\").replace('"', r"\"")
