"""Sizes for people: B below a KiB, then KiB, MiB, GiB (IEC 80000-13)."""

from __future__ import annotations


def size_text(count: float) -> str:
    """Return a size with its unit.

    >>> size_text(440), size_text(76563), size_text(3 << 20)
    ('440 B', '74.8 KiB', '3.0 MiB')
    """
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
