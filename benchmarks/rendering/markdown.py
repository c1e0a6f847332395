"""Tables and numbers as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

#: What a benchmark wrote with ``--json``.
Figures = Mapping[str, Any]
#: What is not known.
DASH = "–"


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    r"""Return a table; a vertical bar in a cell is escaped.

    >>> table(("codec", "B"), [("a | b", 3)]).splitlines()[2]
    '| a \\| b | 3 |'
    """
    lines = [_line(headings), _line(["---"] * len(headings)), *map(_line, rows)]
    return "\n".join(lines)


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share for people; a dash if it is unknown."""
    return DASH if share is None else f"{100 * share:.{digits}f} %"


def spread(values: Mapping[str, float], digits: int = 1) -> str:
    """Return a mean of shares with the lowest and the highest."""
    low, high = (f"{100 * values[end]:.{digits}f}" for end in ("low", "high"))
    return f"{percent(values['mean'], digits)} ({low} to {high})"


def spread_of(shares: Sequence[float]) -> str:
    """Return the mean of some shares, the lowest and the highest."""
    ends = {"low": min(shares), "high": max(shares), "mean": sum(shares) / len(shares)}
    return spread(ends)


def count(number: float | None, unit: str = "") -> str:
    """Return a whole number with its unit; a dash if it is unknown."""
    return DASH if number is None else f"{number:,.0f} {unit}".strip()


def large(number_of_bytes: float) -> str:
    """Return bytes in the decimal unit that fits.

    >>> large(284_000), large(27_700_000), large(257)
    ('284 kB', '27.7 MB', '257 B')
    """
    if number_of_bytes >= 1e6:
        return f"{number_of_bytes / 1e6:,.1f} MB"
    return (
        f"{number_of_bytes / 1e3:,.0f} kB"
        if number_of_bytes >= 1e4
        else f"{number_of_bytes:,.0f} B"
    )


def code(text: str) -> str:
    """Return a text as code."""
    return f"`{text}`"


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |"
