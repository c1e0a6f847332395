"""The marked regions of a document, each of which holds one table.

``<!-- table: NAME -->`` to ``<!-- end -->`` is made of figures; ``<!-- by hand: NAME -->`` stands
over a table whose benchmark has not been run since tables are made: it becomes the former as soon
as its figures are there.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_REGION = re.compile(
    r"^<!-- (?P<kind>table|by hand): (?P<name>[\w-]+) -->\n(?P<text>.*?)^<!-- end -->$",
    re.MULTILINE | re.DOTALL,
)
_MARK = re.compile(r"^<!-- (?:table|by hand): .*-->$|^<!-- end -->$", re.MULTILINE)


def names(text: str, kind: str) -> list[str]:
    """Return the names of a document's regions of a kind: ``table`` or ``by hand``."""
    return [found["name"] for found in _REGION.finditer(text) if found["kind"] == kind]


def fill(text: str, made: Callable[[str], str | None]) -> str:
    """Return a document with its regions filled.

    Args:
        text: The document.
        made: From a region's name to its text; ``None`` if there are no figures yet.

    Raises:
        ValueError: A mark is not part of a region, or a made region has no figures.
    """
    if len(_MARK.findall(text)) != 2 * len(list(_REGION.finditer(text))):
        raise ValueError(
            "a mark of a table has no counterpart; see benchmarks/rendering/regions.py"
        )
    return _REGION.sub(lambda found: _filled(found, made), text)


def _filled(found: re.Match[str], made: Callable[[str], str | None]) -> str:
    table = made(found["name"])
    if table is None:
        if found["kind"] == "table":
            raise ValueError(f"the figures of table {found['name']!r} are gone from results/")
        return found[0]
    return f"<!-- table: {found['name']} -->\n{table.strip()}\n<!-- end -->"
