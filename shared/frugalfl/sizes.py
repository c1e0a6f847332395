"""Sizes, read and written as in IEC 80000-13: 1 KiB is 1024 B, 1 kB is 1000 B."""

from __future__ import annotations

import re
from fractions import Fraction

from frugalfl.errors import UsageError

_UNITS = {
    "": 1, "B": 1,
    "kB": 1000, "KB": 1000, "MB": 1000**2, "GB": 1000**3,
    "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3,
}  # fmt: skip
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]*)", re.ASCII)


def parse_size(text: str, what: str) -> int:
    """Read a size in bytes; a fraction of a byte is dropped.

    >>> parse_size("64KiB", "flash"), parse_size("64 kB", "flash"), parse_size("65536", "flash")
    (65536, 64000, 65536)

    Args:
        text: A number and a unit: B (or none), kB, MB, GB, KiB, MiB, GiB.
        what: Named in the message.

    Raises:
        UsageError: Not a size, a unit that may mean two things (``64K``), or no whole byte.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{what} takes a size such as 64KiB, 64kB or 65536, not {text!r}")
    number, unit = match.groups()
    if unit not in _UNITS:
        raise UsageError(
            f"{what} is {text!r}, and {unit!r} is not a unit; write {number}KiB "
            f"(1024 bytes each) or {number}kB (1000 bytes each)"
        )
    size = int(Fraction(number) * _UNITS[unit])
    if size == 0:
        raise UsageError(f"{what} is {text!r}; it must be at least 1 byte")
    return size


def size_text(count: float) -> str:
    """Return a size with its unit.

    >>> size_text(440), size_text(76563), size_text(3 << 20)
    ('440 B', '74.8 KiB', '3 MiB')
    """
    unit = "B"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    digits = 0 if unit == "B" or float(count).is_integer() else 1
    return f"{count:.{digits}f} {unit}"
