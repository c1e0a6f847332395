"""Carbon intensities from CodeCarbon's own files, if it is installed: for reports only.

Its files are read without importing it, which would take more memory than all of ours.
"""

from __future__ import annotations

import csv
import json
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from frugalfl.calls import unknown
from frugalfl.energy.electricity import Electricity, parse_electricity
from frugalfl.errors import MissingExtraError, UsageError

_PREFIX = "codecarbon:"
_G_PER_LB = 453.59237
_KWH_PER_MWH = 1000.0
#: Figures outside are errors of a table.
_PLAUSIBLE_G_PER_KWH = (5.0, 1000.0)


def any_grid(text: str) -> Electricity | None:
    """Read what :func:`parse_electricity` does, and ``codecarbon:us/texas``.

    Raises:
        UsageError: There is no such region, or its figure is not plausible.
        MissingExtraError: CodeCarbon is not installed.
    """
    if not text.startswith(_PREFIX):
        return parse_electricity(text)
    owner, _, region = text.removeprefix(_PREFIX).partition("/")
    known = _states() if owner == "us" else _cloud(owner)
    if region not in known:
        raise unknown(f"region of {owner or _PREFIX}", region, known)
    value = known[region]
    low, high = _PLAUSIBLE_G_PER_KWH
    if not low <= value <= high:
        raise UsageError(f"{text} is {value:g} g/kWh in CodeCarbon's table, which cannot be right")
    version = metadata.version("codecarbon")
    return Electricity(f"{owner}/{region}", value, _YEARS[owner == "us"], f"CodeCarbon {version}")


#: Of the cloud regions' file, and of the states' (EPA eGRID2023).
_YEARS = (None, 2023)


def _states() -> dict[str, float]:
    table = json.loads((_folder() / "private_infra/2023/usa_emissions.json").read_text("utf-8"))
    return {
        name: row["emissions"] * _G_PER_LB / _KWH_PER_MWH
        for name, row in table.items()
        if not name.startswith("_")
    }


def _cloud(provider: str) -> dict[str, float]:
    with (_folder() / "cloud/impact.csv").open(encoding="utf-8-sig") as file:
        rows = [row for row in csv.DictReader(file) if row["impact"]]
    providers = {row["provider"] for row in rows}
    if provider not in providers:
        raise unknown("owner of regions", provider, ["us", *providers])
    return {row["region"]: float(row["impact"]) for row in rows if row["provider"] == provider}


def _folder() -> Path:
    spec = find_spec("codecarbon")
    if spec is None or spec.origin is None:
        raise MissingExtraError("CodeCarbon's table of regions", "carbon")
    return Path(spec.origin).parent / "data"
