"""A battery's own gauge, under ``/sys/class/power_supply``: while it discharges, and only then.

Units: microvolts, microamperes, microwatts. Drivers disagree about the sign of a current, so its
size is taken, and ``status`` says which way it flows (kernel ABI, sysfs-class-power).
"""

from __future__ import annotations

from pathlib import Path

from frugalfl.energy.sources import FoundSources, Source
from frugalfl.energy.sources.totals import Integral, children, number, word

#: Fuel gauges refresh every 1 to 30 s and are trimmed for charge, not for power (our judgement).
_UNCERTAINTY = 0.2


def find(root: Path) -> FoundSources:
    """Look for batteries of the machine itself, not of its mouse."""
    batteries = _batteries(root)
    if not batteries:
        why = "no battery under /sys/class/power_supply, or (Android) none that an app may see"
        return FoundSources("battery", (), why)
    try:
        total = Integral(lambda: _drawn_w(batteries))
    except (OSError, ValueError) as error:
        return FoundSources("battery", (), str(error))
    names = " + ".join(battery.name for battery in batteries)
    source = Source("board", "battery", f"{names}, discharging", "board", _UNCERTAINTY, total)
    return FoundSources("battery", (source,), f"{names}, while discharging")


def level(root: Path) -> tuple[float, bool] | None:
    """Return how full the batteries are, on average (%), and whether they are on a charger.

    ``None``: there are none.

    Raises:
        OSError: A battery does not say how full it is.
        ValueError: It says something else.
    """
    batteries = _batteries(root)
    if not batteries:
        return None
    states = [word(battery / "status") for battery in batteries]
    full = [number(battery / "capacity") for battery in batteries]
    return sum(full) / len(full), "Charging" in states or "Discharging" not in states


def _batteries(root: Path) -> list[Path]:
    return [
        supply
        for supply in children(root / "sys/class/power_supply")
        if word(supply / "type") == "Battery" and word(supply / "scope") != "Device"
    ]


def _drawn_w(batteries: list[Path]) -> float:
    """Return the power out of all batteries (W)."""
    states = {battery: word(battery / "status") for battery in batteries}
    if "Charging" in states.values() or "Discharging" not in states.values():
        told = ", ".join(f"{battery.name} is {state!r}" for battery, state in states.items())
        raise ValueError(f"{told}: on a charger a gauge says nothing about the load")
    return sum(_power_w(b) for b, state in states.items() if state == "Discharging")


def _power_w(battery: Path) -> float:
    try:
        return abs(number(battery / "power_now")) * 1e-6
    except FileNotFoundError:
        volts = number(battery / "voltage_now") * 1e-6
        return volts * abs(number(battery / "current_now")) * 1e-6
