"""Raspberry Pi 5: its power management chip, through ``vcgencmd pmic_read_adc``.

The chip senses twelve rails behind its own converters, and neither their losses nor the 5 V that
USB devices take. The board's power is estimated from their sum with the linear fit that the
monitor pitop publishes, 1.1451 x sum + 0.5879 W.
"""

from __future__ import annotations

import re
from pathlib import Path

from frugalfl.energy.sources import FoundSources, Source
from frugalfl.energy.sources.commands import output_of, path_of
from frugalfl.energy.sources.totals import Integral

_COMMAND = "vcgencmd"
_LINE = re.compile(r"^\s*(\w+)_([AV]) (?:current|volt)\(\d+\)=([0-9.]+)[AV]\s*$", re.MULTILINE)
_GAIN, _OFFSET_W = 1.1451, 0.5879
#: Of the fit, on boards other than its author's (our judgement).
_UNCERTAINTY = 0.15
#: Each sample is a process.
_LEAST_S = 0.25
_BASELINE_S = 1.0


def find(root: Path) -> FoundSources:
    """Ask the chip once."""
    command = path_of(_COMMAND)
    if command is None:
        return FoundSources(
            "pmic", (), "no vcgencmd on PATH: not a Raspberry Pi, or not its own system"
        )
    try:
        total = Integral(lambda: board_w(output_of(command, "pmic_read_adc")), least_s=_LEAST_S)
    except (OSError, ValueError) as error:
        return FoundSources("pmic", (), f"{error}; {_advice(str(error))}")
    name = "vcgencmd pmic_read_adc, 1.1451 x sum + 0.5879 W"
    source = Source("board", "pmic", name, "board", _UNCERTAINTY, total, idle_s=_BASELINE_S)
    return FoundSources("pmic", (source,), "vcgencmd pmic_read_adc")


def board_w(text: str) -> float:
    """Return the board's power from what the command prints (W).

    Raises:
        ValueError: There is no rail with both voltage and current in it.
    """
    figures = {(rail, kind): float(value) for rail, kind, value in _LINE.findall(text)}
    rails = [rail for rail, kind in figures if kind == "A" and (rail, "V") in figures]
    if not rails:
        raise ValueError(f"vcgencmd pmic_read_adc shows no rail: {text.strip()[:80]!r}")
    return _GAIN * sum(figures[rail, "A"] * figures[rail, "V"] for rail in rails) + _OFFSET_W


def _advice(problem: str) -> str:
    if "vcio" in problem or "ermission" in problem:
        return "the user must be in group video: sudo usermod -aG video $USER, then log in again"
    return "only the Raspberry Pi 5 senses currents"
