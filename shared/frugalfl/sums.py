"""Counters that clients add up: tables of hashed keys, and the sum of them over all clients.

A task may count things of its own by a key, such as frauds by terminal and day. With the setting
``counters = "shared"`` each client sends its tables before the first round, and gets back the sums
over all clients at its own keys. Everything that crosses that border is in this file: a protocol
in which the server cannot read the single tables (secure aggregation) would replace
:func:`add_up` and what calls it, and leave tasks as they are.

On the wire a set of tables is one byte string: number of tables; for each its name, number of keys
and of periods, all LEB128; then one Zstandard frame (RFC 8878) of the gaps between keys and the
counts, each as planes of bytes; last a CRC-32 of all of that.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import zstandard

from frugalfl.codec.buffer import Reader, varint
from frugalfl.errors import FrameError, TaskError

#: What one set of tables may hold at most: tables, letters of a name, counts in all.
_MOST_TABLES, _MOST_LETTERS, _MOST_COUNTS = 16, 64, 1 << 24
_LEVEL = 19
_WIDTH = 4

Counts = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Table:
    """Counts by key and period.

    Attributes:
        keys: uint32, shape ``(keys,)``, strictly increasing: hashes, not names.
        counts: uint32, shape ``(keys, periods)``.
    """

    keys: Counts
    counts: Counts

    def __post_init__(self) -> None:
        keys, counts = self.keys, self.counts
        if keys.ndim != 1 or counts.ndim != 2 or len(keys) != len(counts):
            raise TaskError(
                f"a table of counters has keys of shape {keys.shape} and counts of shape "
                f"{counts.shape}; it must be (keys,) and (keys, periods)"
            )
        if keys.dtype != np.uint32 or counts.dtype != np.uint32:
            raise TaskError(
                f"a table of counters is {keys.dtype} and {counts.dtype}; both must be uint32"
            )
        if len(keys) > 1 and not (keys[1:] > keys[:-1]).all():
            raise TaskError("the keys of a table of counters must be sorted, and each there once")


Tables = Mapping[str, Table]


def add_up(parts: Iterable[Tables]) -> dict[str, Table]:
    """Return the sums of tables by name and key; a key that one of them lacks counts 0 there.

    Raises:
        FrameError: Tables of one name have different periods, or a sum is beyond 32 bits.
    """
    named: dict[str, list[Table]] = {}
    for part in parts:
        for name, table in part.items():
            named.setdefault(name, []).append(table)
    return {name: _sum(name, tables) for name, tables in named.items()}


def _sum(name: str, tables: list[Table]) -> Table:
    periods = {table.counts.shape[1] for table in tables}
    if len(periods) > 1:
        raise FrameError(f"tables {name!r} have {sorted(periods)} periods; they must be alike")
    keys = np.unique(np.concatenate([table.keys for table in tables]))
    total = np.zeros((len(keys), periods.pop()), np.uint64)
    for table in tables:
        total[np.searchsorted(keys, table.keys)] += table.counts
    if total.size and int(total.max()) > np.iinfo(np.uint32).max:
        raise FrameError(f"a sum in the table {name!r} is beyond 32 bits")
    return Table(keys, total.astype(np.uint32))


def at_keys_of(total: Tables, own: Tables) -> dict[str, Table]:
    """Return the rows of ``total`` at the keys of ``own``, table by table: what one client gets."""
    return {
        name: Table(table.keys, total[name].counts[np.searchsorted(total[name].keys, table.keys)])
        for name, table in own.items()
    }


def pack_tables(tables: Tables) -> bytes:
    """Return tables as bytes; the module says how.

    Raises:
        TaskError: They are more or larger than :func:`unpack_tables` takes.
    """
    if len(tables) > _MOST_TABLES or sum(t.counts.size for t in tables.values()) > _MOST_COUNTS:
        raise TaskError(
            f"a task may share {_MOST_TABLES} tables with {_MOST_COUNTS:,} counts in all; "
            "count by coarser keys or periods"
        )
    head, body = bytearray(varint(len(tables))), bytearray()
    for name, table in tables.items():
        text = name.encode()
        if not 0 < len(text) <= _MOST_LETTERS:
            raise TaskError(f"a table's name may have 1 to {_MOST_LETTERS} letters, not {name!r}")
        head += varint(len(text)) + text
        head += varint(len(table.keys)) + varint(table.counts.shape[1])
        body += _planes(np.diff(table.keys, prepend=np.uint32(0))) + _planes(table.counts.T)
    data = bytes(head) + zstandard.ZstdCompressor(level=_LEVEL).compress(bytes(body))
    return data + zlib.crc32(data).to_bytes(_WIDTH, "little")


def unpack_tables(data: bytes) -> dict[str, Table]:
    """Read tables; every size is bounded before memory is taken.

    Raises:
        FrameError: The bytes are damaged, or not what :func:`pack_tables` writes.
    """
    if zlib.crc32(data[:-_WIDTH]) != int.from_bytes(data[-_WIDTH:], "little"):
        raise FrameError("the tables' checksum does not agree; they were damaged on the way")
    reader = Reader(data[:-_WIDTH])
    sizes: dict[str, tuple[int, int]] = {}
    for _ in range(reader.varint(_MOST_TABLES)):
        name = bytes(reader.bytes(reader.varint(_MOST_LETTERS))).decode(errors="replace")
        keys, periods = reader.varint(_MOST_COUNTS), reader.varint(_MOST_COUNTS)
        if name in sizes or keys * periods > _MOST_COUNTS:
            raise FrameError(f"the table {name[:20]!r} is there twice, or too large")
        sizes[name] = keys, periods
    if sum(keys * periods for keys, periods in sizes.values()) > _MOST_COUNTS:
        raise FrameError("the tables are too large together")
    total = _WIDTH * sum(keys * (periods + 1) for keys, periods in sizes.values())
    body = Reader(_decompressed(bytes(reader.rest()), total))
    tables = {}
    for name, (keys, periods) in sizes.items():
        gaps = _from_planes(body, keys).astype(np.uint64)
        counts = _from_planes(body, keys * periods).reshape(periods, keys).T
        places = np.cumsum(gaps, dtype=np.uint64)
        if keys and (int(places[-1]) > 0xFFFFFFFF or not gaps[1:].all()):
            raise FrameError(f"the keys of the table {name[:20]!r} are not increasing 32-bit ones")
        tables[name] = Table(places.astype(np.uint32), np.ascontiguousarray(counts))
    return tables


def _planes(values: npt.NDArray[np.uint32]) -> bytes:
    """Return first all lowest bytes of the values, then all second ones, and so on."""
    flat = np.ascontiguousarray(values, "<u4").ravel().view(np.uint8)
    return flat.reshape(-1, _WIDTH).T.tobytes()


def _from_planes(body: Reader, count: int) -> Counts:
    planes = np.frombuffer(body.bytes(_WIDTH * count), np.uint8).reshape(_WIDTH, count)
    return np.ascontiguousarray(planes.T).view("<u4").ravel().astype(np.uint32)


def _decompressed(data: bytes, size: int) -> bytes:
    try:
        if zstandard.frame_content_size(data) != size:
            raise FrameError("the tables are not as long as their sizes say")
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=size)
    except zstandard.ZstdError as error:
        raise FrameError(f"the tables cannot be decompressed: {error}") from error
