"""Current sensors on a board, as Linux shows them under ``/sys/class/hwmon``.

INA2xx sense one supply, INA3221 three (Jetson). The numbers of ``hwmonN`` change from boot to boot,
so sensors are known by their ``name``. Units: ``power*`` in microwatts, ``in*`` in millivolts,
``curr*`` in milliamperes (kernel documentation, hwmon/sysfs-interface).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from frugalfl.energy.sources import FoundSources, Source
from frugalfl.energy.sources.totals import Integral, children, number, word

_INA2XX = re.compile(r"ina2\d\d$")
_INA3221 = ("ina3221", "ina3221x")
#: The rail that feeds all the others, if a Jetson has one.
_INPUT = re.compile(r"VDD_IN$|POM_5V_IN$|VIN_SYS", re.IGNORECASE)
#: Sensor, shunt and update rate together (k = 2); a wrong shunt value in the device tree is not.
_UNCERTAINTY = 0.05
_BASELINE_S = 0.5

_Rail = tuple[str, Callable[[], float]]


def find(root: Path) -> FoundSources:
    """Look for sensors of the board's supply."""
    supplies: list[_Rail] = []
    problems = []
    for sensor in children(root / "sys/class/hwmon"):
        name = word(sensor / "name")
        try:
            if _INA2XX.match(name):
                supplies.append(_single(sensor, name))
            elif name in _INA3221:
                supplies.append(_triple(sensor, name))
        except (OSError, ValueError) as error:
            problems.append(f"{name}: {error}")
    if not supplies:
        why = "no INA2xx or INA3221 current sensor under /sys/class/hwmon"
        return FoundSources("hwmon", (), "; ".join(problems) or why)
    # Of several sensors one feeds the rest: the one with the most power is upstream.
    label, watts = max(supplies, key=lambda rail: rail[1]())
    total = Integral(watts)
    source = Source("board", "hwmon", label, "board", _UNCERTAINTY, total, idle_s=_BASELINE_S)
    return FoundSources("hwmon", (source,), label)


def _single(sensor: Path, name: str) -> _Rail:
    power = sensor / "power1_input"
    if power.exists():
        watts = _in_watts(power)
    else:
        watts = _product(sensor / "in1_input", sensor / "curr1_input")
    watts()
    shunt = word(sensor / "shunt_resistor")
    return f"{name}{f', shunt {shunt} uOhm' if shunt else ''}", watts


def _triple(sensor: Path, name: str) -> _Rail:
    """Return the rail that feeds the module, or the sum of all rails if none does."""
    rails: list[_Rail] = []
    for channel in "123":
        # Channels that nothing is soldered to are switched off, or have no label.
        label = word(sensor / f"in{channel}_label")
        off = word(sensor / f"in{channel}_enable") == "0"
        if label and not off:
            product = _product(sensor / f"in{channel}_input", sensor / f"curr{channel}_input")
            product()
            rails.append((label, product))
    if not rails:
        raise ValueError(f"{sensor} has no labelled channel")
    upstream = [rail for rail in rails if _INPUT.search(rail[0])]
    used = upstream[:1] or rails
    labels = " + ".join(label for label, _ in used)
    return f"{name} {labels}", lambda: sum(watts() for _, watts in used)


def _in_watts(path: Path) -> Callable[[], float]:
    return lambda: number(path) * 1e-6


def _product(voltage: Path, current: Path) -> Callable[[], float]:
    # The sign of a current only says which way round the shunt is soldered.
    return lambda: abs(number(voltage) * number(current)) * 1e-6
