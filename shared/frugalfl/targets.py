"""Microcontrollers that a model may be exported for; the figures are in ``targets.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from frugalfl.calls import unknown
from frugalfl.sizes import parse_size


@dataclass(frozen=True)
class Target:
    """A core on a typical board.

    Attributes:
        name: As in the setting ``target``.
        board: The board whose memory this is.
        flash_bytes: All of its flash (B).
        ram_bytes: All of its RAM (B).
        runtime_bytes: What TFLite-Micro itself takes of the flash (B), without the model.
        fpu: Whether it computes float32 in hardware.
        source: Where the figures of the board come from.
    """

    name: str
    board: str
    flash_bytes: int
    ram_bytes: int
    runtime_bytes: int
    fpu: bool
    source: str


@cache
def targets() -> Mapping[str, Target]:
    """Return every target by name, in the order of the file."""
    with Path(__file__).with_suffix(".toml").open("rb") as file:
        tables = tomllib.load(file)
    runtime_bytes = parse_size(tables.pop("runtime")["flash"], "flash of the runtime")
    return {
        name: Target(
            name=name,
            board=table["board"],
            flash_bytes=parse_size(table["flash"], f"flash of {name}"),
            ram_bytes=parse_size(table["ram"], f"ram of {name}"),
            runtime_bytes=runtime_bytes,
            fpu=table["fpu"],
            source=table["source"],
        )
        for name, table in tables.items()
    }


def target_named(name: str) -> Target:
    """Return a target by name.

    Raises:
        UsageError: There is none of that name; the nearest one is in the message.
    """
    if name not in targets():
        raise unknown("target", name, targets())
    return targets()[name]
