"""The energy records of one reply as a few hundred bytes, and back with every value checked.

What is the same in all of them (the run, the device, the versions) is there once. The rest is JSON,
deflated with a preset dictionary of the names that every bundle has (RFC 1950; in every Python).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

from frugalfl.energy.record import EnergyRecord
from frugalfl.energy.record_json import from_dicts, items_of, object_of, parse

#: Bounds of what is unpacked.
MOST_RECORDS = 64
_MOST_BYTES = 1 << 18
_ALL, _EACH = "all", "each"
_WINDOW_BITS, _MEMORY = 13, 5
#: Both ends must have the same bytes here: a change is a change of the wire. The likeliest last.
_DICTIONARY = (
    b'"gpu""dram""board""container""wall""rapl""hwmon""battery""lte""ethernet""wifi""loopback"'
    b'"scope":"board","source":""uncertainty_rel":0.3"measured":true,"method":"'
    b',"grid":{"g_per_kwh":475.0,"region":"WORLD","table":"IEA, via CodeCarbon 3.3.2","year":2018}'
    b'Our World in Data, via CodeCarbon 3.3.2","year":2023},"software":"frugalfl 0.1.0, torch 2.13'
    b'[{"component":"radio","energy_j":0.0,"idle_j":null,"measured":false,"method":"link","scope":"'
    b'"correct":null,"cpu_s":null,"downlink_bytes":0,"phase":"upload","readings":'
    b'"phase":"aggregate""phase":"decode""phase":"evaluate""phase":"download","phase":"train",'
    b'{"all":{"client":"0","device":"generic","grid":null,"link":"loopback","round":1,"run":"'
    b'"contacts":1,"samples":0,"software":"frugalfl 0.1.0, torch 2.13.0, CPython 3.11"},"each":['
    b'{"contacts":0,"correct":null,"cpu_s":0.0,"downlink_bytes":0,"phase":"encode","readings":'
    b'[{"component":"cpu","energy_j":0.0,"idle_j":null,"measured":false,"method":"cpu-time",'
    b'"scope":"process","source":"generic: generic 4 W per busy core","uncertainty_rel":0.5}],'
    b'"samples":0,"start_unix_s":179,"uplink_bytes":0,"wall_s":null},'
)


def pack(records: Sequence[EnergyRecord]) -> bytes:
    """Return records as bytes; of no records, nothing."""
    if _latest and _latest[0] is records:  # as a ledger has just kept them
        return bytes(_latest[1])
    packed = pack_items([items_of(record) for record in records])
    remember(records, packed)
    return packed


def pack_items(rows: Sequence[tuple[str, ...]]) -> bytes:
    """Return records as bytes, by the items of their JSON."""
    if not rows:
        return b""
    first = rows[0]
    alike = [column.count(column[0]) == len(rows) for column in zip(*rows, strict=True)]
    same = object_of([item for item, is_same in zip(first, alike, strict=True) if is_same])
    own = [place for place, is_same in enumerate(alike) if not is_same]
    each = ",".join(object_of([row[place] for place in own]) for row in rows)
    # A window and a memory that hold all there is to say: making larger ones takes longer than all.
    deflater = zlib.compressobj(9, zlib.DEFLATED, _WINDOW_BITS, _MEMORY, zdict=_DICTIONARY)
    text = f'{{"{_ALL}":{same},"{_EACH}":[{each}]}}'
    return deflater.compress(text.encode()) + deflater.flush()


def remember(records: Sequence[EnergyRecord], packed: bytes) -> None:
    """Keep at hand what records are packed into: they are packed again for a reply."""
    _latest[:] = [records, packed] if type(records) is tuple else []


#: The records that were packed last, and what they were packed into; none at first.
_latest: list[Any] = []


def unpack(data: bytes) -> tuple[EnergyRecord, ...]:
    """Read records.

    Raises:
        ValueError: They are damaged, or beyond the bounds.
    """
    if not data:
        return ()
    values = parse(_inflate(data))
    if not isinstance(values, dict) or values.keys() != {_ALL, _EACH}:
        raise ValueError("they are no energy records")
    same, each = values[_ALL], values[_EACH]
    if not isinstance(same, dict) or not isinstance(each, list) or len(each) > MOST_RECORDS:
        raise ValueError(f"they are no list of at most {MOST_RECORDS} records")
    if not all(isinstance(row, dict) for row in each):
        raise ValueError("one of them is no record")
    return from_dicts(same, each)


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj(zdict=_DICTIONARY)
    try:
        text = inflater.decompress(data, _MOST_BYTES)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not inflater.eof or inflater.unused_data:
        raise ValueError(f"they are cut off, or longer than {_MOST_BYTES:,} B")
    return text
