"""What came of one attack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """One row of the table.

    Attributes:
        attack: What was tried, in a few words.
        refused: Whether it came to nothing.
        line: What the operator reads about it, on the server or on the device; empty: nothing.
        run_went_on: Whether what honest clients were doing was finished; ``None``: no run was on.
    """

    attack: str
    refused: bool
    line: str
    run_went_on: bool | None = None


#: Tries a subject's attacks in an empty folder; ``True`` for a short version.
Attacks = Callable[[Path, bool], Iterator[Outcome]]
