"""Tables with their plain values, as CSV, and files that a page carries in its links."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from frugalfl.text import for_csv

Cell = str | int | float | None
#: What may stand in a data: link as it is; the rest is written as %XX.
_SAFE = "/:;=,+()!$@?*'~|^`{}[] "


@dataclass(frozen=True)
class Sheet:
    """A table.

    Attributes:
        name: Of the file that it is downloaded as.
        header: Names of the columns, with units.
        rows: Plain values; None: not known.
    """

    name: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    @property
    def csv(self) -> str:
        """The table as CSV; no cell is a formula, and what is not known is an empty one."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        for row in (self.header, *self.rows):
            writer.writerow([_plain(cell) for cell in row])
        return text.getvalue()

    @property
    def link(self) -> str:
        """The CSV as a link that needs no file, and has no letter that ends an attribute."""
        return f"data:text/csv;charset=utf-8,{quote(self.csv, safe=_SAFE)}"


def svg_link(drawing: str) -> str:
    """Return a drawing of its own as a link that needs no file."""
    return f"data:image/svg+xml;base64,{base64.b64encode(drawing.encode()).decode()}"


def _plain(cell: Cell) -> object:
    if isinstance(cell, float):
        return f"{cell:.10g}"
    return for_csv(cell)
