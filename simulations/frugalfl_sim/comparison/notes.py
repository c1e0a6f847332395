"""What a report says beside figures: how the data was prepared, and what was revealed to whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from frugalfl.energy import Electricity


@dataclass(frozen=True)
class Disclosure:
    """One thing that left a branch, or that a branch learned.

    Attributes:
        what: Such as ``trees without leaf counts``.
        by: Who revealed it.
        to: Who could read it.
        step: When, such as ``each round``.
        bytes: Of it in the whole federation; ``None`` where it was not counted.
        switch: When it happens: ``always``, or the setting that turns it on.
    """

    what: str
    by: str
    to: str
    step: str
    bytes: int | None
    switch: str


@dataclass(frozen=True)
class Preparation:
    """What became of one branch's file.

    Attributes:
        branch: Its name.
        counts: Rows by what they are, such as ``read`` or ``dropped as duplicates``, in the order
            of the table's columns; all branches together need not have the same ones.
        remarks: What a reader should know of this branch, such as that it has no fraud at all.
    """

    branch: str
    counts: Mapping[str, int]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Notes:
    """What the pilot knows beside the comparison.

    Attributes:
        title: Of the page.
        data: A sentence on where the transactions are from.
        command: What makes the page anew.
        disclosures: What was revealed to whom.
        checks: Sentences on what was verified about that, such as the planted terminal.
        preparation: By branch.
        settings: Settings of the pilot, for people.
        energy: A sentence on how joules were obtained, with their uncertainty.
        currency: Of the amounts; empty where the data names none.
        grid: Carbon intensity of the electricity; ``None`` where nobody said where this ran.
    """

    title: str
    data: str
    command: str
    disclosures: tuple[Disclosure, ...] = ()
    checks: tuple[str, ...] = ()
    preparation: tuple[Preparation, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    energy: str = ""
    currency: str = ""
    grid: Electricity | None = None
