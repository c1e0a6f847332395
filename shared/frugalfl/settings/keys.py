"""How a field of a subject is a key of the run config."""

from __future__ import annotations

from dataclasses import Field, field
from typing import Any

from frugalfl.errors import UsageError

#: What amounts must be of which 0 means none.
FINITE = "0 or more, and finite; 0 is for none"
_TYPES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def setting(default: Any, text: str, key: str = "") -> Any:
    """Make a field; its key is its name with dashes, unless another one is given."""
    return field(default=default, metadata={"help": text, "key": key})


def key_of(one: Field[Any]) -> str:
    """Return the key of a field."""
    return str(one.metadata["key"]) or dashed(one.name)


def dashed(name: str) -> str:
    """Return a name as keys are written: ``batch_size`` is ``batch-size``."""
    return name.replace("_", "-")


def need(holds: bool, key: str, value: Any, what: str) -> None:
    """Refuse a value that cannot be.

    Raises:
        UsageError: So it is; the message names key and value, and what it must be.
    """
    if not holds:
        raise UsageError(f"{key} is {value}; it must be {what}")


def typed(key: str, value: Any, wanted: type) -> Any:
    """Return a value of a config in the type that its key takes.

    Raises:
        UsageError: It is of another one.
    """
    if wanted is str and type(value) is int:
        return str(value)  # flash = 65536 is as good as "65536", and private = 0 as "0"
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise UsageError(f"config key {key!r} takes {_TYPES[wanted]}, not {value!r}")
    return value
