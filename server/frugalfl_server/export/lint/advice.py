"""One piece of advice to the author of a model."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

#: ``stops``: the export fails. ``costs``: operators, flash or RAM that another way of writing the
#: same saves. ``hint``: fine as it is, and better otherwise.
Severity = Literal["stops", "costs", "hint"]


@dataclass(frozen=True)
class AddedCost:
    """What the advised-against way adds to a small example's int8 model, over the advised one.

    Attributes:
        operators: Operators that run.
        file_bytes: B of flash, of the stripped file.
        arena_bytes: B of RAM, TFLite-Micro's arena on x86-64.
    """

    operators: int
    file_bytes: int
    arena_bytes: int

    def __str__(self) -> str:
        words = {
            "operator" if abs(self.operators) == 1 else "operators": self.operators,
            "B of file": self.file_bytes,
            "B of arena": self.arena_bytes,
        }
        return ", ".join(f"{value:+,} {unit}" for unit, value in words.items() if value)


@dataclass(frozen=True)
class Advice:
    """What to change, where, and why.

    Attributes:
        rule: Name of the rule, as in ``docs/authoring.md``.
        severity: How bad it is.
        where: The module's path in the model and its type: ``features.3 (GELU)``.
        source: The author's line, ``model.py:12``; None if PyTorch's own containers call.
        what: What is wrong.
        instead: What to write.
        cost: What it adds to a small example; None if that is not a matter of bytes.
    """

    rule: str
    severity: Severity
    where: str
    source: str | None
    what: str
    instead: str
    cost: AddedCost | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        """One line for a terminal."""
        place = f"{self.where}, {self.source}" if self.source else self.where
        cost = f" ({self.cost} in a small example)" if self.cost else ""
        return f"{self.severity}: {place}: {self.what}{cost}; {self.instead}"
