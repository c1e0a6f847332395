"""Energy records as canonical JSON, and back with every value checked.

The same text is what a ledger keeps and hashes. It comes from other machines and from disks that
fail, so reading it trusts nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from frugalfl.energy.electricity import Electricity
from frugalfl.energy.reading import COMPONENTS, SCOPES, Reading
from frugalfl.energy.record import SERVER, EnergyRecord
from frugalfl.text import MOST_LETTERS, is_printable, printable

#: Bounds of what a record may hold.
MOST_READINGS = 16
_MOST_DIGITS = 20
_MOST_INT = 2**53
_MOST_FLOAT = 1e15
#: Made once: six records a round go through it on each device.
_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)
_RECORD, _READING, _ELECTRICITY = (
    frozenset(field.name for field in fields(kind)) for kind in (EnergyRecord, Reading, Electricity)
)


def canonical(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, shortest floats.

    Raises:
        ValueError: It holds NaN or infinity.
    """
    return _ENCODER.encode(value)


def as_dict(record: EnergyRecord) -> dict[str, Any]:
    """Return a record as plain values.

    A run has tens of thousands, and `dataclasses.asdict` copies each value by recursion.
    """
    readings = [vars(reading).copy() for reading in record.readings]
    grid = None if record.grid is None else vars(record.grid).copy()
    return vars(record) | {"readings": readings, "grid": grid}


def to_text(record: EnergyRecord) -> str:
    """Return a record's canonical JSON."""
    return canonical(as_dict(record))


def from_text(text: str | bytes) -> EnergyRecord:
    """Read a record's JSON.

    Raises:
        ValueError: It is no JSON, or not that of a record.
    """
    return from_dict(parse(text))


def parse(text: str | bytes) -> Any:
    """Read JSON.

    Raises:
        ValueError: It is none, is nested too deeply, or holds NaN or infinity.
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _refuse(name: str) -> float:
    raise ValueError(f"it holds {name}")


def from_dict(values: Any) -> EnergyRecord:
    """Make a record of plain values, and check each.

    Raises:
        ValueError: A field is missing, unknown, of another type, or out of its bounds.
    """
    (record,) = from_dicts({}, [values])
    return record


def from_dicts(
    same: Mapping[str, Any], each: Sequence[Mapping[str, Any]]
) -> tuple[EnergyRecord, ...]:
    """Make records of plain values, and check each; what they share is checked once.

    Args:
        same: What is the same in those of them that do not say it themselves.
        each: The rest of each.

    Raises:
        ValueError: As :func:`from_dict`.
    """
    shared: dict[str, Any] = {}
    records = []
    for own in each:
        given = _mapping({**same, **own} if same else own, "an energy record", _RECORD)
        for name, value in given.items():
            if name in shared and name not in own:
                given[name] = shared[name]
                continue
            given[name] = _CHECKS[name](name, value)
            if name not in own:
                shared[name] = given[name]
        records.append(EnergyRecord(**given))
    return tuple(records)


def _reading(values: Any) -> Reading:
    given = _mapping(values, "a reading", _READING)
    if given["component"] not in COMPONENTS or given["scope"] not in SCOPES:
        raise ValueError(
            f"a reading's component is {_short(given['component'])}, its scope "
            f"{_short(given['scope'])}"
        )
    if not isinstance(given["measured"], bool):
        raise ValueError(f"measured is {_short(given['measured'])}, not true or false")
    for name in ("energy_j", "idle_j", "uncertainty_rel"):
        given[name] = _optional_float(name, given[name])
    for name in ("method", "source"):
        _text(name, given[name])
    return Reading(**given)


def _readings(name: str, values: Any) -> tuple[Reading, ...]:
    if not isinstance(values, (list, tuple)) or len(values) > MOST_READINGS:
        raise ValueError(f"{name} is no list of at most {MOST_READINGS} readings")
    return tuple(map(_reading, values))


def _grid(name: str, values: Any) -> Electricity | None:
    if values is None:
        return None
    given = _mapping(values, "a grid", _ELECTRICITY)
    _text("region", given["region"])
    _text("table", given["table"])
    intensity = _float("g_per_kwh", given["g_per_kwh"])
    return Electricity(
        given["region"], intensity, _optional_int("year", given["year"]), given["table"]
    )


def _mapping(values: Any, what: str, names: frozenset[str]) -> dict[str, Any]:
    if not isinstance(values, Mapping) or values.keys() != names:
        raise ValueError(f"it is not {what}: {_short(values)}")
    return dict(values)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > MOST_LETTERS or not is_printable(value):
        raise ValueError(
            f"{name} is {_short(value)}, not a text of at most {MOST_LETTERS} letters that can be "
            "shown"
        )
    return value


def _client(name: str, value: Any) -> str:
    digits = isinstance(value, str) and value.isascii() and value.isdigit()
    if value != SERVER and not (digits and len(value) <= _MOST_DIGITS):
        raise ValueError(f"{name} is {_short(value)}, not the number of a client")
    return str(value)


def _int(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST_INT:
        raise ValueError(f"{name} is {_short(value)}, not a whole number from 0")
    return value


def _optional_int(name: str, value: Any) -> int | None:
    return None if value is None else _int(name, value)


def _float(name: str, value: Any) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not 0 <= value <= _MOST_FLOAT:
        raise ValueError(f"{name} is {_short(value)}, not a number from 0")
    return float(value)


def _optional_float(name: str, value: Any) -> float | None:
    return None if value is None else _float(name, value)


def _short(value: Any) -> str:
    text = printable(repr(value))
    return text if len(text) <= 60 else f"{text[:57]}..."


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "run": _text, "client": _client, "round": _int, "phase": _text, "device": _text,
    "start_unix_s": _float, "wall_s": _optional_float, "cpu_s": _optional_float,
    "readings": _readings, "samples": _int, "correct": _optional_int, "uplink_bytes": _int,
    "downlink_bytes": _int, "contacts": _int, "link": _text, "grid": _grid, "software": _text,
}  # fmt: skip
