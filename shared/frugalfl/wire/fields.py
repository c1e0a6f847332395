"""Single values of a message, each checked as it is read: of its type, and within its bounds."""

from __future__ import annotations

import math
from typing import Any

from flwr.app import RecordDict

from frugalfl.errors import FrameError
from frugalfl.text import MOST_LETTERS, is_printable

#: Beyond any round or version that a server can mean.
MOST_COUNT = 1 << 40
#: Longest text that is read at all (characters).
_MOST_LETTERS = 4096


def read_record(content: RecordDict, name: str, kind: type) -> Any:
    """Return a record of a message.

    Raises:
        FrameError: It is missing, or of another kind.
    """
    # Not by way of Flower's `array_records` and the like: each makes a copy of all records.
    record = content.get(name)
    if not isinstance(record, kind):
        raise FrameError(f"the message has no record {name!r}; is the other end a FrugalFL app?")
    return record


def read_fields(content: RecordDict, name: str, kind: type) -> dict[str, Any]:
    """Return a record's fields as they are looked at quickly; they are not to be changed.

    Raises:
        FrameError: The record is missing, or of another kind.
    """
    return dict(read_record(content, name, kind).items())


def read_item(record: Any, name: str) -> Any:
    """Return a field of a record.

    Raises:
        FrameError: It is missing.
    """
    if name not in record:
        raise FrameError(
            f"the message has no field {name!r}; is the other end of the same version?"
        )
    return record[name]


def read_whole(record: Any, name: str) -> int:
    """Read a whole number.

    Raises:
        FrameError: It is missing, or something else.
    """
    value = read_item(record, name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise FrameError(f"the message's {name} is {value!r:.60}, not a whole number")
    return value


def read_numbers(record: Any, name: str) -> tuple[int, ...]:
    """Read whole numbers.

    Raises:
        FrameError: They are missing, or something else.
    """
    value = read_item(record, name)
    if not isinstance(value, list) or not all(type(one) is int for one in value):
        raise FrameError(f"the message's {name} are {value!r:.60}, not a list of whole numbers")
    return tuple(value)


def read_count(record: Any, name: str) -> int:
    """Read a whole number that counts something.

    Raises:
        FrameError: It is missing, or cannot be.
    """
    value = read_whole(record, name)
    if not 0 <= value <= MOST_COUNT:
        raise FrameError(f"the message's {name} is {value!r:.60}, not from 0 to {MOST_COUNT}")
    return value


def read_number(record: Any, name: str) -> float:
    """Read a number; one that float has no room for is NaN.

    Raises:
        FrameError: It is missing, or something else.
    """
    value = read_item(record, name)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise FrameError(f"the message's {name} is {value!r:.60}, not a number")
    try:
        return float(value) if math.isfinite(value) else math.nan
    except OverflowError:
        return math.nan


def read_text(record: Any, name: str) -> str:
    """Read a text of bounded length.

    Raises:
        FrameError: It is missing, or something else.
    """
    value = read_item(record, name)
    if not isinstance(value, str) or len(value) > _MOST_LETTERS:
        raise FrameError(
            f"the message's {name} is {value!r:.60}, not a text of up to {_MOST_LETTERS} letters"
        )
    return value


def read_name(record: Any, name: str) -> str:
    """Read a text that a device's ledger keeps: it must be able to show it.

    Raises:
        FrameError: It is missing, or no name.
    """
    value = read_text(record, name)
    if len(value) > MOST_LETTERS or not is_printable(value):
        raise FrameError(f"the message's {name} is {value!r:.60}, which cannot be a name")
    return value


def read_any_text(record: Any, name: str) -> str:
    """Read a text that may be missing: then it is empty.

    Raises:
        FrameError: It is something else.
    """
    return read_text(record, name) if name in record else ""
