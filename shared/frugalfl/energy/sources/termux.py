"""An Android phone's battery, through Termux:API's ``termux-battery-status``.

It prints JSON: ``current`` in microamperes, ``status``, and in newer versions ``voltage`` in
millivolts. Without a voltage, that of a lithium cell in mid-discharge is taken.
"""

from __future__ import annotations

import math
from pathlib import Path

from frugalfl.energy.sources import FoundSources, Source
from frugalfl.energy.sources.commands import output_of, path_of
from frugalfl.energy.sources.totals import Integral, number

_COMMAND = "termux-battery-status"
_NOMINAL_V = 3.85
#: Of the gauge (our judgement), and beside it of the assumed voltage, 3.4 to 4.35 V.
_UNCERTAINTY, _UNCERTAINTY_NOMINAL = 0.25, 0.3
_LEAST_S = 1.0


def find(root: Path) -> FoundSources:
    """Ask once."""
    command = path_of(_COMMAND)
    if command is None:
        why = f"no {_COMMAND} on PATH; on a phone: pkg install termux-api, and the Termux:API app"
        return FoundSources("termux", (), why)
    gauge = root / "sys/class/power_supply/battery/voltage_now"
    try:
        _, known = battery_w(output_of(command), gauge)
        total = Integral(lambda: battery_w(output_of(command), gauge)[0], least_s=_LEAST_S)
    except (OSError, ValueError) as error:
        return FoundSources("termux", (), str(error))
    told = _COMMAND if known else f"{_COMMAND}, at {_NOMINAL_V} V"
    spread = _UNCERTAINTY if known else _UNCERTAINTY_NOMINAL
    return FoundSources("termux", (Source("board", "termux", told, "board", spread, total),), told)


def level() -> tuple[float, bool] | None:
    """Return how full the battery is (%), and whether it is on a charger; ``None``: no Termux.

    Raises:
        OSError: The command failed.
        ValueError: It printed something else.
    """
    command = path_of(_COMMAND)
    if command is None:
        return None
    import json

    text = output_of(command)
    try:
        state = json.loads(text)
        return float(state["percentage"]), state["status"] != "DISCHARGING"
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError(f"{_COMMAND} printed {text.strip()[:60]!r}") from None


def battery_w(text: str, gauge: Path) -> tuple[float, bool]:
    """Return the power out of the battery (W), and whether its voltage was known.

    Raises:
        ValueError: The battery is not discharging, or the text is not what the command prints.
    """
    import json

    try:
        state = json.loads(text)
        status, microamperes = str(state["status"]), float(state["current"])
        millivolts = float(state.get("voltage") or 0)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ValueError(f"{_COMMAND} printed {text.strip()[:60]!r}") from None
    if status != "DISCHARGING":
        raise ValueError(f"the battery is {status}: its gauge says nothing about the load")
    volts = millivolts * 1e-3
    if not (math.isfinite(volts) and volts > 0):
        try:
            volts = number(gauge) * 1e-6
        except (OSError, ValueError):
            volts = 0.0
    return (volts or _NOMINAL_V) * abs(microamperes) * 1e-6, volts > 0
