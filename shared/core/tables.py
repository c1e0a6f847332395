"""Write `tables.h` from the Python tables of the entropy coder: ``python shared/core/tables.py``.

Generated, so that the two cannot drift apart; a test holds that the file is what this makes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

from frugalfl.codec.entropy import chance_tables

TARGET = Path(__file__).with_name("tables.h")
#: Name and C type of each table.
TYPES = {
    "EIGHTHS": "uint32_t",
    "HALVES_HINTED": "uint16_t",
    "HALVES_BLIND": "uint16_t",
    "CHANCES": "uint16_t",
    "HAZARDS": "uint32_t",
    "EXP2": "uint32_t",
    "LEVELS": "uint16_t",
    "SIGN_LEVELS": "uint16_t",
    "SHARE_LOGS": "uint32_t",
    "FIRST_HALVES": "uint32_t",
}
_HEAD = """\
/* Made by tables.py from frugalfl/codec/entropy/chance_tables.py: do not edit. */
#ifndef FC_TABLES_H
#define FC_TABLES_H

#include <stdint.h>
"""


def make_header() -> str:
    """Return the text of `tables.h`."""
    return _HEAD + "".join(_tables()) + "\n#endif\n"


def _tables() -> Iterator[str]:
    for name, kind in TYPES.items():
        values = getattr(chance_tables, name)
        # An end that no 16-bit mantissa reaches saves a comparison.
        yield _table(name, kind, (*values, 1 << 16) if name == "EIGHTHS" else values)
    yield _table("EIGHTH_OF", "uint8_t", _guesses(chance_tables.EIGHTHS))


def _guesses(eighths: tuple[int, ...]) -> list[int]:
    """For each 1/64 of an octave the eighth that its first mantissa is in."""
    firsts = ((64 + part) << 9 for part in range(64))
    return [sum(first >= edge for edge in eighths) - 1 for first in firsts]


def _table(name: str, kind: str, values: Iterable[int]) -> str:
    numbers = list(values)
    body = textwrap.fill(", ".join(map(str, numbers)), 96, initial_indent="    ",
                         subsequent_indent="    ")  # fmt: skip
    return f"\nstatic const {kind} FC_{name}[{len(numbers)}] = {{\n{body},\n}};\n"


if __name__ == "__main__":
    TARGET.write_text(make_header())
