"""A Flower message in the fewest objects it can have: one record in place of several.

Flower sends every record, every array and every chunk of one as an object of its own, in a request
with some 800 bytes of headers. Folding puts all of them into one ConfigRecord, so that a message
has three objects. It is done below Flower's mods, by a node that answers this project's own
server; everything above sees the records as they were.
"""

from __future__ import annotations

import re
from typing import Any

from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from frugalfl.errors import FrameError

#: Name of the record that holds the others; the digit is the form's version.
FOLDED = "frugalfl.folded.1"
#: More than this (B) is not folded: a ConfigRecord is one request, however slow the link is.
MOST_BYTES = 1 << 20
#: What stands in front of a name: whose value it is.
_DATA, _ARRAY, _EMPTY = "d", "a", "e"
_KINDS: dict[str, type] = {_ARRAY: ArrayRecord, "m": MetricRecord, "c": ConfigRecord}
_MOST_AXES = 32


def fold(content: RecordDict) -> RecordDict:
    """Return the same content in one record; content that is too large, or folded, as it is."""
    arrays = [array for record in content.array_records.values() for array in record.values()]
    if FOLDED in content or sum(len(array.data) for array in arrays) > MOST_BYTES:
        return content
    folded: dict[str, Any] = {}
    for name, record in content.items():
        mark = next(mark for mark, kind in _KINDS.items() if isinstance(record, kind))
        if "/" in name:
            return content
        if not record:
            folded[f"{_EMPTY}{mark}/{name}/"] = True
        for key, value in record.items():
            if isinstance(value, Array):
                shape = ",".join(map(str, value.shape))
                folded[f"{_ARRAY}/{name}/{key}"] = f"{value.dtype} {shape} {value.stype}"
                folded[f"{_DATA}/{name}/{key}"] = value.data
            else:
                folded[f"{mark}/{name}/{key}"] = value
    return RecordDict({FOLDED: ConfigRecord(folded)})


def unfold(content: RecordDict) -> RecordDict:
    """Return what :func:`fold` was given; content that is not folded as it is.

    Raises:
        FrameError: It is not of the form that ``fold`` writes.
    """
    if FOLDED not in content:
        return content
    folded = content.config_records.get(FOLDED)
    if folded is None or len(content) != 1:
        raise FrameError("a folded message holds more than its one record")
    records: dict[str, Any] = {}
    kinds: dict[str, str] = {}
    for place, value in folded.items():
        mark, slash, rest = place.partition("/")
        name, second, key = rest.partition("/")
        empty, mark = mark[:-1], _ARRAY if mark == _DATA else mark[-1:]
        if not slash or not second or mark not in _KINDS or empty not in ("", _EMPTY):
            raise FrameError(f"a folded message holds something called {place!r:.60}")
        if kinds.setdefault(name, mark) != mark:
            raise FrameError(f"a folded message has two records called {name!r:.60}")
        items = records.setdefault(name, {})
        if mark == _ARRAY and not empty and place[0] != _DATA:
            items[key] = _array(value, folded.get(f"{_DATA}/{name}/{key}"))
        elif mark != _ARRAY and not empty:
            items[key] = value
    try:
        return RecordDict({name: _KINDS[kinds[name]](items) for name, items in records.items()})
    except (TypeError, ValueError) as error:
        raise FrameError(f"a folded message cannot be read: {error!s:.80}") from error


def _array(about: Any, data: Any) -> Array:
    """Make an array of what is said about it and of its bytes."""
    words = about.split(" ", 2) if isinstance(about, str) else []
    if len(words) != 3 or not isinstance(data, bytes):
        raise FrameError("a folded message has an array without bytes or without a type")
    axes = words[1].split(",") if words[1] else []
    if len(axes) > _MOST_AXES or not all(re.fullmatch("[0-9]{1,18}", axis) for axis in axes):
        raise FrameError(f"a folded message has an array of shape {words[1]!r:.60}")
    return Array(dtype=words[0], shape=tuple(map(int, axes)), stype=words[2], data=data)
