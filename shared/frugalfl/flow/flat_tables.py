"""A reader of FlatBuffers tables that trusts no offset: the format's rules, nothing of TFLite.

The format: https://flatbuffers.dev/internals. A table begins with the distance back to its vtable,
which lists where in the table each field is, 0 for one that is absent and so has its default.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from frugalfl.errors import ProgramError

_MOST_ENTRIES = 1 << 20


class FlatTable(NamedTuple):
    """One table: the file, and where in it the table begins."""

    data: bytes
    start: int

    def number(self, field: int, code: str, default: float = 0) -> float:
        """Return a scalar field; ``code`` as of :mod:`struct`, such as ``i`` for 4 signed bytes."""
        place = self._place(field)
        return default if not place else _unpack(self.data, place, code)

    def whole(self, field: int, code: str = "i", default: int = 0) -> int:
        """Return a scalar field of whole numbers."""
        return int(self.number(field, code, default))

    def table(self, field: int) -> FlatTable | None:
        """Return a field that is a table, ``None`` if it is absent."""
        place = self._place(field)
        return FlatTable(self.data, _follow_offset(self.data, place)) if place else None

    def tables(self, field: int) -> list[FlatTable]:
        """Return a field that is a vector of tables; empty if it is absent."""
        start, count = self._vector(field, 4)
        places = range(start, start + 4 * count, 4)
        return [FlatTable(self.data, _follow_offset(self.data, place)) for place in places]

    def wholes(self, field: int) -> list[int]:
        """Return a field that is a vector of 4-byte whole numbers; empty if it is absent."""
        start, count = self._vector(field, 4)
        return [int(_unpack(self.data, start + 4 * i, "i")) for i in range(count)]

    def content(self, field: int) -> bytes:
        """Return a field that is a vector of bytes, or a text; empty if it is absent."""
        start, count = self._vector(field, 1, most=len(self.data))
        return bytes(self.data[start : start + count])

    def has(self, field: int) -> bool:
        """Say whether a field is there."""
        return self._place(field) > 0

    def _place(self, field: int) -> int:
        """Return where a field is in the file; 0: it is absent."""
        vtable = self.start - int(_unpack(self.data, self.start, "i"))
        size = int(_unpack(self.data, vtable, "H"))
        slot = 4 + 2 * field
        if slot + 2 > size:
            return 0
        offset = int(_unpack(self.data, vtable + slot, "H"))
        return self.start + offset if offset else 0

    def _vector(self, field: int, width: int, most: int = _MOST_ENTRIES) -> tuple[int, int]:
        place = self._place(field)
        if not place:
            return 0, 0
        start = _follow_offset(self.data, place)
        count = int(_unpack(self.data, start, "I"))
        if count > most or start + 4 + width * count > len(self.data):
            raise ProgramError(f"the training program's file has a vector of {count} entries")
        return start + 4, count


def root(data: bytes) -> FlatTable:
    """Return a file's root table."""
    return FlatTable(data, _follow_offset(data, 0))


def _follow_offset(data: bytes, place: int) -> int:
    return place + int(_unpack(data, place, "I"))


def _unpack(data: bytes, place: int, code: str) -> float:
    try:
        if place < 0:
            raise ValueError("a negative place")
        return (
            float(value)
            if isinstance(value := struct.unpack_from("<" + code, data, place)[0], float)
            else int(value)
        )
    except (struct.error, ValueError) as error:
        raise ProgramError(
            f"the training program's file points to byte {place} of {len(data)}; it is damaged"
        ) from error
