"""How full a device's battery is, for the setting ``min-battery``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_TEXT = re.compile(r"(\d+(?:\.\d+)?) ?%(?: (charging))?")


@dataclass(frozen=True)
class BatteryLevel:
    """What a battery's gauge says.

    Attributes:
        percent: From 0 to 100.
        charging: Whether it is on a charger, so that work does not drain it.
    """

    percent: float
    charging: bool

    def below(self, percent: float) -> bool:
        """Say whether the battery is too low to work from."""
        return not self.charging and self.percent < percent


def battery_level(root: Path, file: str = "") -> BatteryLevel | None:
    """Return how full the battery is; ``None``: there is none, or its gauge cannot be read.

    Args:
        root: Where ``/sys`` is.
        file: A file that says it in place of the system, ``57 %`` or ``57 % charging``: for
            boards on a battery that the system does not know. Empty: ask the system.
    """
    from frugalfl.energy.sources import battery, termux

    try:
        told = _from_file(Path(file)) if file else battery.level(root) or termux.level()
    except (OSError, ValueError):
        return None
    if told is None or not 0 <= told[0] <= 100:
        return None
    return BatteryLevel(*told)


def _from_file(path: Path) -> tuple[float, bool] | None:
    match = _TEXT.fullmatch(path.read_bytes()[:64].decode("ascii", "replace").strip())
    return None if match is None else (float(match[1]), match[2] is not None)
