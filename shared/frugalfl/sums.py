"""Counters that clients add up: tables of hashed keys, and the sum of them over all clients.

A task may count things of its own by a key, such as frauds by terminal and day. With the setting
``counters = "shared"`` each client sends its tables before the first round, and gets back the sums
over all clients at its own keys, as far as enough clients have them. Everything that crosses that
border is in this file: a protocol in which the server cannot read the single tables (secure
aggregation) would replace :func:`add_up` and what calls it, and leave tasks as they are.

On the wire a set of tables is one byte string. For each table: its name, number of keys and of
periods, and how many counts are not zero, all LEB128 with lengths; its keys as Golomb-Rice coded
gaps, or nothing if they are those of the table before; if few counts are not zero, their
places likewise. Then one Zstandard frame (RFC 8878) with the counts of all tables, as planes of
bytes; last a CRC-32 of all of that.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import zstandard

from frugalfl.codec.buffer import Reader, varint
from frugalfl.codec.entropy.rice import decode_places, encode_places
from frugalfl.errors import FrameError, TaskError

#: A sum is handed back if so many clients hold its key: from a sum over two, each of them knows the
#: other's counts.
AT_LEAST = 3
#: What one set of tables may hold at most: tables, letters of a name, counts in all.
_MOST_TABLES, _MOST_LETTERS, _MOST_COUNTS = 16, 64, 1 << 24
_LEVEL = 19
_WIDTH = 4
#: Counts are sparse if fewer than one in so many is not zero.
_SPARSE = 8

Counts = npt.NDArray[np.uint32]
_NO_KEYS: Counts = np.zeros(0, np.uint32)


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


def holders(parts: Iterable[Tables]) -> dict[str, Counts]:
    """Return how many clients have each key of the sums, by table; in the order of their keys."""
    named: dict[str, list[Counts]] = {}
    for part in parts:
        for name, table in part.items():
            named.setdefault(name, []).append(table.keys)
    return {
        name: np.unique(np.concatenate(keys), return_counts=True)[1].astype(np.uint32)
        for name, keys in named.items()
    }


def at_keys_of(
    total: Tables, own: Tables, held: Mapping[str, Counts], at_least: int
) -> dict[str, Table]:
    """Return what one client gets: the sums at its keys, its own counts if too few have the key.

    Args:
        total: The sums.
        own: The client's own tables.
        held: As :func:`holders` counts.
        at_least: How many clients must have a key for its sum to be handed back.
    """
    answer = {}
    for name, table in own.items():
        row = np.searchsorted(total[name].keys, table.keys)
        enough = held[name][row] >= at_least
        counts = np.where(enough[:, None], total[name].counts[row], table.counts)
        answer[name] = Table(table.keys, counts)
    return answer


def answers(parts: Sequence[Tables], at_least: int = 1) -> list[dict[str, Table]]:
    """Return what each of several clients gets for its tables.

    Args:
        parts: The tables of each.
        at_least: As for :func:`at_keys_of`; 1: all sums.

    Raises:
        FrameError: As :func:`add_up`.
    """
    total, held = add_up(parts), holders(parts)
    return [at_keys_of(total, own, held, at_least) for own in parts]


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
    head, values, before = bytearray(varint(len(tables))), [], _NO_KEYS
    for name, table in tables.items():
        text, counts = name.encode(), table.counts.ravel()
        if not 0 < len(text) <= _MOST_LETTERS:
            raise TaskError(f"a table's name may have 1 to {_MOST_LETTERS} letters, not {name!r}")
        places = np.flatnonzero(counts)
        sparse = _SPARSE * len(places) < len(counts)
        head += varint(len(text)) + text + varint(len(table.keys)) + varint(table.counts.shape[1])
        head += varint(len(places) if sparse else len(counts))
        same = np.array_equal(table.keys, before)
        head += bytes([same]) + (b"" if same else encode_places(table.keys.astype(np.int64)))
        head += encode_places(places) if sparse else b""
        # All keys of one period together: dense counts of a period are alike.
        values.append(counts[places] if sparse else table.counts.T.ravel())
        before = table.keys
    body = zstandard.ZstdCompressor(level=_LEVEL).compress(
        _planes(np.concatenate([*values, _NO_KEYS]))
    )
    data = bytes(head) + body
    return data + zlib.crc32(data).to_bytes(_WIDTH, "little")


@dataclass(frozen=True)
class _Outline:
    """What is known of a table before its counts: ``places`` are of those that are not zero."""

    keys: Counts
    periods: int
    given: int
    places: npt.NDArray[np.int64] | None


def unpack_tables(data: bytes) -> dict[str, Table]:
    """Read tables; every size is bounded before memory is taken.

    Raises:
        FrameError: The bytes are damaged, or not what :func:`pack_tables` writes.
    """
    if zlib.crc32(data[:-_WIDTH]) != int.from_bytes(data[-_WIDTH:], "little"):
        raise FrameError("the tables' checksum does not agree; they were damaged on the way")
    reader = Reader(data[:-_WIDTH])
    outlines: dict[str, _Outline] = {}
    before, left = _NO_KEYS, _MOST_COUNTS
    for _ in range(reader.varint(_MOST_TABLES)):
        name = bytes(reader.bytes(reader.varint(_MOST_LETTERS))).decode(errors="replace")
        if name in outlines:
            raise FrameError(f"the table {name[:20]!r} is there twice")
        outlines[name] = outline = _outline(reader, before, left)
        before, left = outline.keys, left - len(outline.keys) * outline.periods
    given = sum(outline.given for outline in outlines.values())
    values = _from_planes(_decompress(bytes(reader.rest()), _WIDTH * given))
    tables, start = {}, 0
    for name, outline in outlines.items():
        part = values[start : start + outline.given]
        start += outline.given
        shape = len(outline.keys), outline.periods
        if outline.places is None:
            counts = np.ascontiguousarray(part.reshape(shape[::-1]).T)
        else:
            counts = np.zeros(shape, np.uint32)
            counts.ravel()[outline.places] = part
        tables[name] = Table(outline.keys, counts)
    return tables


def _outline(reader: Reader, before: Counts, left: int) -> _Outline:
    """Read all of a table but its counts, of which there may be ``left``."""
    number, periods = reader.varint(_MOST_COUNTS), reader.varint(_MOST_COUNTS)
    cells = number * periods
    if cells > left:
        raise FrameError(f"the tables have more than {_MOST_COUNTS:,} counts together")
    given = reader.varint(cells)
    if reader.byte():
        keys = before
        if len(keys) != number:
            raise FrameError("a table has the keys of the one before, but not as many")
    else:
        keys = decode_places(reader, number, 1 << 32).astype(np.uint32)
    sparse = _SPARSE * given < cells
    if not sparse and given != cells:
        raise FrameError("a table is neither sparse nor whole")
    return _Outline(keys, periods, given, decode_places(reader, given, cells) if sparse else None)


def _planes(values: Counts) -> bytes:
    """Return first all lowest bytes of the values, then all second ones, and so on."""
    flat = np.ascontiguousarray(values, "<u4").view(np.uint8)
    return flat.reshape(-1, _WIDTH).T.tobytes()


def _from_planes(data: bytes) -> Counts:
    planes = np.frombuffer(data, np.uint8).reshape(_WIDTH, -1)
    return np.ascontiguousarray(planes.T).view("<u4").ravel().astype(np.uint32)


def _decompress(data: bytes, size: int) -> bytes:
    try:
        if zstandard.frame_content_size(data) != size:
            raise FrameError("the tables are not as long as their sizes say")
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=size)
    except zstandard.ZstdError as error:
        raise FrameError(f"the tables cannot be decompressed: {error}") from error
