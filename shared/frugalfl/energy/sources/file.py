"""A figure that something else writes: a smart plug, a bench meter, or a host for its guests.

``FRUGALFL_ENERGY_FILE`` names a text file of one line, ``NUMBER UNIT [SCOPE]``: ``1234.5 J wall``.
With J, mJ, uJ, Wh or kWh the number is a counter that grows, with W or mW the power now. The scope
is ``wall`` (the default), ``board`` or ``container``.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

from frugalfl.energy.sources import FoundSources, Source
from frugalfl.energy.sources.totals import Counter, Integral

VARIABLE = "FRUGALFL_ENERGY_FILE"
_JOULES = {"J": 1.0, "mJ": 1e-3, "uJ": 1e-6, "Wh": 3600.0, "kWh": 3.6e6}
_WATTS = {"W": 1.0, "mW": 1e-3}
_SCOPES = ("wall", "board", "container")


def find(root: Path) -> FoundSources:
    """Look at the file that the environment names."""
    name = os.environ.get(VARIABLE)
    if not name:
        return FoundSources(
            "file", (), f"{VARIABLE} is not set; a meter's or a host's file goes there"
        )
    path = root / name.lstrip("/") if root != Path("/") else Path(name)
    try:
        _, unit, scope = _parse(path)
        if unit in _WATTS:
            total: Counter | Integral = Integral(lambda: _value(path, unit))
        else:
            total = Counter(lambda: _value(path, unit))
    except (OSError, ValueError) as error:
        return FoundSources("file", (), f"{VARIABLE}: {error}")
    # Its meter's uncertainty is not ours to know.
    source = Source("board", "file", f"{path} ({unit})", scope, None, total)
    return FoundSources("file", (source,), f"{path}, in {unit}")


def _value(path: Path, unit: str) -> float:
    value, now, _ = _parse(path)
    if now != unit:
        raise ValueError(f"{path} changed from {unit} to {now}")
    return value


def _parse(path: Path) -> tuple[float, str, str]:
    """Return the value in J or W, its unit and its scope."""
    text = path.read_bytes()[:200].decode("utf-8", "replace").partition("\n")[0]
    words = text.split()
    try:
        value = float(words[0])
        factor = (_JOULES | _WATTS)[words[1]]
        scope = words[2] if len(words) > 2 else "wall"
    except (IndexError, KeyError, ValueError):
        factor = value = math.nan
        scope = ""
    if not math.isfinite(value) or value < 0 or scope not in _SCOPES or len(words) > 3:
        raise ValueError(f"{path} holds {text!r}; write NUMBER UNIT [SCOPE], such as 1234.5 J wall")
    return value * factor, words[1], scope
