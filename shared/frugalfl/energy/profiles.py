"""Device profiles: what a board draws at idle and under full load, and what its radio takes.

The figures are estimates to fall back on without a meter; ``profiles.toml`` has them with the
source of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

# Type checkers take it for true: the module typing costs more to load than this package.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: An estimate for a board that the work did not run on: its speed is known by one benchmark only.
ELSEWHERE_UNCERTAINTY = 1.0
#: Speed of one core of the machine that simulates (7-zip MIPS), if it is an x86.
_HOST_MIPS = 2950.0


@dataclass(frozen=True)
class DeviceProfile:
    """Power of one kind of device.

    Attributes:
        name: As in the setting ``device``.
        about: What it is, in a few words.
        idle_w: Power when nothing runs (W); ``None`` if it is not known.
        busy_w_per_core: What one core at full load adds (W); ``None``: a microcontroller.
        nj_per_mac: Energy of a multiply-accumulate (nJ); ``None``: not a microcontroller.
        mips: Speed of one core (7-zip MIPS); ``None`` if it is not known.
        uncertainty_rel: Relative uncertainty of an estimate made from this profile (k = 2).
        source: Where the figures come from.
        board: How the model in the device tree of such a board begins; empty: it has none.
        architecture: What ``uname`` says on such a machine; empty: it does not tell.
    """

    name: str
    about: str
    idle_w: float | None
    busy_w_per_core: float | None
    nj_per_mac: float | None
    mips: float | None
    uncertainty_rel: float
    source: str
    board: str = ""
    architecture: str = ""

    @property
    def slowdown(self) -> float:
        """Processor seconds on such a device for one on the machine that simulates it."""
        return 1.0 if self.mips is None else _HOST_MIPS / self.mips


@dataclass(frozen=True)
class Link:
    """What a radio takes above idle.

    Attributes:
        name: As in the node config's ``link``.
        uplink_j_per_mb: Sending (J/MB).
        downlink_j_per_mb: Receiving (J/MB).
        contact_j: Each time it wakes, with the tail after the last byte (J).
        uncertainty_rel: Relative uncertainty (k = 2).
        source: Where the figures come from.
    """

    name: str
    uplink_j_per_mb: float
    downlink_j_per_mb: float
    contact_j: float
    uncertainty_rel: float
    source: str


def profiles() -> Mapping[str, DeviceProfile]:
    """Return all device profiles, by name."""
    return _load()[0]


def links() -> Mapping[str, Link]:
    """Return all links with figures, by name."""
    return _load()[1]


def profile_named(name: str) -> DeviceProfile:
    """Return a profile by name.

    Raises:
        UsageError: There is none of that name.
    """
    if name not in profiles():
        from frugalfl.calls import unknown

        raise unknown("device profile", name, profiles())
    return profiles()[name]


@lru_cache(maxsize=1)
def _load() -> tuple[dict[str, DeviceProfile], dict[str, Link]]:
    # Only those who estimate pay for reading it: a parser is a third of this package's import.
    import tomllib

    data = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    sources: dict[str, str] = data["sources"]
    devices = {name: _profile(name, row, sources) for name, row in data["profiles"].items()}
    radios = {name: _link(name, row, sources) for name, row in data["links"].items()}
    return devices, radios


def _profile(name: str, row: dict[str, Any], sources: dict[str, str]) -> DeviceProfile:
    idle_w: float | None = row.get("idle_w")
    busy: float | None = row.get("w_per_core")
    if "full_w" in row:
        busy = (row["full_w"] - row["idle_w"]) / row["cores"]
    return DeviceProfile(
        name=name,
        about=row["about"],
        idle_w=idle_w,
        busy_w_per_core=busy,
        nj_per_mac=row.get("nj_per_mac"),
        mips=row.get("mips"),
        uncertainty_rel=row["uncertainty_rel"],
        source=_cite(row, sources),
        board=row.get("board", ""),
        architecture=row.get("architecture", ""),
    )


def _link(name: str, row: dict[str, Any], sources: dict[str, str]) -> Link:
    figures = {key: value for key, value in row.items() if key != "source"}
    return Link(name, **figures, source=_cite(row, sources))


def _cite(row: dict[str, Any], sources: dict[str, str]) -> str:
    """Return the sources of a row's joules, each once; speed is not part of them."""
    keys = dict.fromkeys(key for figure, key in row["source"].items() if figure != "mips")
    return "; ".join(sources[key] for key in keys)
