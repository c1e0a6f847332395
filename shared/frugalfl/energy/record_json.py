"""Energy records as canonical JSON, and back with every value checked.

The same text is what a ledger keeps and hashes. It comes from other machines and from disks that
fail, so reading it trusts nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any, TypeVar

from frugalfl.energy.electricity import Electricity
from frugalfl.energy.reading import COMPONENTS, SCOPES, Reading
from frugalfl.energy.record import SERVER, EnergyRecord
from frugalfl.text import MOST_LETTERS, is_printable, printable

#: Bounds of what a record may hold.
MOST_READINGS = 16
_MOST_DIGITS = 20
_MOST_INT = 2**53
_MOST_FLOAT = 1e15
#: Texts whose JSON is kept at hand: phases, sources, versions, and numbers of clients.
_MOST_TEXTS = 1 << 14
#: Made once: six records a round go through it on each device.
_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)
_RECORD_FIELDS, _READING_FIELDS = (
    tuple(field.name for field in fields(kind)) for kind in (EnergyRecord, Reading)
)
_RECORD, _READING = frozenset(_RECORD_FIELDS), frozenset(_READING_FIELDS)
_ELECTRICITY = frozenset(field.name for field in fields(Electricity))


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
    """Return a record's canonical JSON.

    It is :func:`canonical` of :func:`as_dict`, written out: a server does it with every record that
    comes, to see that the ledger behind it goes on.
    """
    return object_of(items_of(record))


def object_of(items: Iterable[str]) -> str:
    """Return the JSON object that has these items."""
    return f"{{{','.join(items)}}}"


def items_of(record: EnergyRecord) -> tuple[str, ...]:
    """Return the items of a record's canonical JSON, one a field, sorted."""
    quoted, number = _QUOTED, _number
    return (
        f'"client":{quoted[record.client]}',
        f'"contacts":{number(record.contacts)}',
        f'"correct":{number(record.correct)}',
        f'"cpu_s":{number(record.cpu_s)}',
        f'"device":{quoted[record.device]}',
        f'"downlink_bytes":{number(record.downlink_bytes)}',
        f'"grid":{_grid_text(record.grid)}',
        f'"link":{quoted[record.link]}',
        f'"phase":{quoted[record.phase]}',
        f'"readings":{_readings_text(record.readings)}',
        f'"round":{number(record.round)}',
        f'"run":{quoted[record.run]}',
        f'"samples":{number(record.samples)}',
        f'"software":{quoted[record.software]}',
        f'"start_unix_s":{number(record.start_unix_s)}',
        f'"uplink_bytes":{number(record.uplink_bytes)}',
        f'"wall_s":{number(record.wall_s)}',
    )


def _readings_text(readings: Sequence[Reading]) -> str:
    """Return the canonical JSON of readings; the same ones are written out once.

    A ledger keeps them, and a reply tells of them; and equal shares are the same readings.
    """
    known = _READINGS.get(id(readings))
    if known is None:
        if len(_READINGS) >= _MOST_READINGS:
            _READINGS.clear()
        known = readings, f"[{','.join(map(_reading_text, readings))}]"
        if type(readings) is tuple:
            _READINGS[id(readings)] = known
    return known[1]


#: Readings with their text: as long as they are here, nothing else has their place in memory.
_READINGS: dict[int, tuple[Sequence[Reading], str]] = {}
_MOST_READINGS = 1 << 10


@lru_cache(maxsize=64)
def _grid_text(grid: Electricity | None) -> str:
    return "null" if grid is None else canonical(vars(grid))


def _reading_text(one: Reading) -> str:
    quoted = _QUOTED
    return (
        f'{{"component":{quoted[one.component]},"energy_j":{_number(one.energy_j)},'
        f'"idle_j":{_number(one.idle_j)},"measured":{"true" if one.measured else "false"},'
        f'"method":{quoted[one.method]},"scope":{quoted[one.scope]},'
        f'"source":{quoted[one.source]},"uncertainty_rel":{_number(one.uncertainty_rel)}}}'
    )


def _number(value: float | None) -> str:
    """Return the canonical JSON of a number, or of an unknown one."""
    if value is None:
        return "null"
    kind = type(value)
    if kind is int:
        return repr(value)
    if kind is float and value:  # zeros differ by their sign, which a dictionary does not see
        return _WRITTEN[value]
    return canonical(value)


class _Written(dict[float, str]):
    """Canonical JSON of numbers: of a round's, many are the same for all clients."""

    def __missing__(self, value: float) -> str:
        if len(self) >= _MOST_TEXTS:
            self.clear()
        return self.setdefault(value, canonical(value))


_WRITTEN = _Written()


class _Quoted(dict[str, str]):
    """Canonical JSON of texts, of which a run's records have few."""

    def __missing__(self, text: str) -> str:
        if len(self) >= _MOST_TEXTS:
            self.clear()
        return self.setdefault(text, canonical(text))


_QUOTED = _Quoted()


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
        if isinstance(text, bytes):
            text = text.decode(json.detect_encoding(text), "surrogatepass")
        return _DECODER.decode(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _refuse(name: str) -> float:
    raise ValueError(f"it holds {name}")


#: Made once, as the encoder.
_DECODER = json.JSONDecoder(parse_constant=_refuse)


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
    names: Any = None
    records = []
    for own in each:
        if own.keys() != names:  # mostly those of the one before
            _mapping({**same, **own}, "an energy record", _RECORD)
            names = own.keys()
            shared = {n: _CHECKS[n](n, value) for n, value in same.items() if n not in names}
        checked = {name: _CHECKS[name](name, value) for name, value in own.items()}
        records.append(_of_checked(EnergyRecord, _RECORD_FIELDS, shared | checked))
    return tuple(records)


def from_columns(
    plain: Mapping[str, Sequence[Any]], readings: Mapping[str, Sequence[Any]],
    counts: Sequence[int],
) -> list[EnergyRecord]:  # fmt: skip
    """Make many records of plain values, a list a field, and check each.

    Args:
        plain: The records' fields, without their readings.
        readings: Those of all readings, one record's after the other's.
        counts: How many readings each record has.

    Raises:
        ValueError: As :func:`from_dict`.
    """
    if {*plain, "readings"} != _RECORD or set(readings) != _READING:
        raise ValueError("they are not the columns of energy records")
    if max(counts, default=0) > MOST_READINGS:
        raise ValueError(f"a record has more than {MOST_READINGS} readings")
    each = [[_CHECKS[name](name, one) for one in column] for name, column in plain.items()]
    made = list(map(_reading, _dicts_of(tuple(readings), readings.values())))
    ends = accumulate(counts, initial=0)
    each.append([tuple(made[start:end]) for start, end in pairwise(ends)])
    return [
        _of_checked(EnergyRecord, _RECORD_FIELDS, values)
        for values in _dicts_of((*plain, "readings"), each)
    ]


def _dicts_of(names: Sequence[str], columns: Iterable[Sequence[Any]]) -> Iterator[dict[str, Any]]:
    return (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))


_Kind = TypeVar("_Kind", EnergyRecord, Reading)


def _of_checked(kind: type[_Kind], names: Sequence[str], values: Mapping[str, Any]) -> _Kind:
    """Make one of values for all its fields, which are named in their order.

    What a frozen class does by itself takes three times as long; a server makes thousands a second.
    """
    one = object.__new__(kind)
    own = vars(one)
    for name in names:  # one by one, in order: then all of a kind share the names, in memory too
        own[name] = values[name]
    return one


def _reading(values: Any) -> Reading:
    _mapping(values, "a reading", _READING)
    if values["component"] not in COMPONENTS or values["scope"] not in SCOPES:
        raise ValueError(
            f"a reading's component is {_short(values['component'])}, its scope "
            f"{_short(values['scope'])}"
        )
    if not isinstance(values["measured"], bool):
        raise ValueError(f"measured is {_short(values['measured'])}, not true or false")
    given = {**values}
    for name in ("energy_j", "idle_j", "uncertainty_rel"):
        given[name] = _optional_float(name, values[name])
    for name in ("method", "source"):
        _text(name, values[name])
    return _of_checked(Reading, _READING_FIELDS, given)


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


def _mapping(values: Any, what: str, names: frozenset[str]) -> Mapping[str, Any]:
    known: Mapping[str, Any] = values
    if not (type(values) is dict or isinstance(values, Mapping)) or known.keys() != names:
        raise ValueError(f"it is not {what}: {_short(values)}")
    return known


# Each of the next checks begins with what nearly all values are, since a server makes a hundred of
# every answer.


def _text(name: str, value: Any) -> str:
    short = isinstance(value, str) and len(value) <= MOST_LETTERS
    if short and value.isascii() and value.isprintable():
        return str(value)
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
    if type(value) is int and 0 <= value <= _MOST_INT:
        return value
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
    if value is None or (type(value) is float and 0 <= value <= _MOST_FLOAT):
        return value
    return _float(name, value)


def _short(value: Any) -> str:
    text = printable(repr(value))
    return text if len(text) <= 60 else f"{text[:57]}..."


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "run": _text, "client": _client, "round": _int, "phase": _text, "device": _text,
    "start_unix_s": _float, "wall_s": _optional_float, "cpu_s": _optional_float,
    "readings": _readings, "samples": _int, "correct": _optional_int, "uplink_bytes": _int,
    "downlink_bytes": _int, "contacts": _int, "link": _text, "grid": _grid, "software": _text,
}  # fmt: skip
