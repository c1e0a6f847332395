"""Carbon intensity of electricity: grams of CO2e per kWh, by country, without a network.

Location-based, as SCI (ISO/IEC 21031) asks: certificates that somebody bought change nothing. A
yearly mean of a country is a coarse figure, so each carries its table, year and region.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from frugalfl.errors import UsageError

_TABLE = "Our World in Data, via CodeCarbon 3.3.2"
_WORLD_TABLE = "IEA, via CodeCarbon 3.3.2"
_J_PER_KWH = 3.6e6
_UNIT = " g/kWh"


@dataclass(frozen=True)
class Electricity:
    """What the electricity of one place emits.

    Attributes:
        region: ISO 3166-1 alpha-2 code, ``WORLD``, or empty if a user gave the figure.
        g_per_kwh: Grams of CO2e per kWh.
        year: Of the figure; ``None`` if a user gave it.
        table: Where the figure is from.
    """

    region: str
    g_per_kwh: float
    year: int | None
    table: str

    def grams(self, joules: float | None) -> float | None:
        """Return the grams of CO2e of so many joules; ``None`` of an unknown number.

        >>> Grid("XX", 360.0, 2023, "").grams(1e4)
        1.0
        """
        return None if joules is None else joules / _J_PER_KWH * self.g_per_kwh

    def __str__(self) -> str:
        """Name it with everything that a reader needs to check it."""
        place = " ".join(str(part) for part in (self.region, self.year) if part)
        return f"{self.g_per_kwh:g} g/kWh ({', '.join(filter(None, (place, self.table)))})"


def parse_electricity(text: str) -> Electricity | None:
    """Read the setting ``grid``: a country such as ``ES``, ``world``, or ``120 g/kWh``.

    Returns:
        ``None`` for an empty text: nobody said where the devices are, so grams are unknown.

    Raises:
        UsageError: There is no such country in the table, or no such figure.
    """
    if not text:
        return None
    if text.endswith(_UNIT):
        return Electricity("", _figure(text), None, "as set")
    region = text.upper()
    if region not in regions():
        raise UsageError(
            f"unknown grid {text!r}; write a country's two letters (ES), world, or a figure "
            "(120 g/kWh)"
        )
    return regions()[region]


@lru_cache(maxsize=1)
def regions() -> dict[str, Electricity]:
    """Return the table by region."""
    import csv  # here, not above: a device without a grid is spared it

    lines = Path(__file__).with_name("grid.csv").read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return {row["region"]: _of_row(row) for row in rows}


def _of_row(row: dict[str, str]) -> Electricity:
    table = _WORLD_TABLE if row["region"] == "WORLD" else _TABLE
    return Electricity(row["region"], float(row["g_per_kwh"]), int(row["year"]), table)


def _figure(text: str) -> float:
    try:
        value = float(text.removesuffix(_UNIT))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 2000:
        raise UsageError(f"grid is {text!r}; a figure must be from 0 to 2000 g/kWh")
    return value
