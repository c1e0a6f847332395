"""Names of files for one line of a terminal."""

from __future__ import annotations


def plain(text: str) -> str:
    """Return a text with its control codes written out."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
