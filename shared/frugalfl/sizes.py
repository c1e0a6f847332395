"""Sizes for people: B below a KiB, then KiB, MiB, GiB (IEC 80000-13)."""

from __future__ import annotations


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
