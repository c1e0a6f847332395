"""The settings of a run beside their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from frugalfl.settings import Settings
from frugalfl_server.report.sheet import Sheet


@dataclass(frozen=True)
class Setting:
    """One setting of a run.

    Attributes:
        name: Its key.
        value: As it was.
        default: What it is if nobody sets it; None: this version has no such setting.
        changed: Whether the two differ.
        chosen: Whether it was ``auto``, and became this before the first round.
    """

    name: str
    value: str
    default: str | None
    changed: bool
    chosen: bool = False

    @property
    def is_news(self) -> bool:
        """Whether it is another one than somebody who sets nothing expects."""
        return self.changed or self.chosen


def settings_of(about: Mapping[str, Any], codecs: Mapping[str, str] | None = None) -> list[Setting]:
    """Return the settings of a run, first those that differ from their defaults or were chosen.

    Args:
        about: ``run.json``; what was ``auto`` there says what it became, and why.
        codecs: By which updates really travel; what they take the place of is named with them.
    """
    defaults, chosen = Settings().as_config(), about.get("chosen", {})
    found = []
    for name, value in about["settings"].items():
        known, really = name in defaults, (codecs or {}).get(name, value)
        asked = "auto" if name in chosen else really
        shown = chosen.get(name, _text(value))
        found.append(
            Setting(
                name, shown if really == value else f"{really}, in place of {value}",
                _text(defaults[name]) if known else None,
                not known or asked != defaults[name],
                name in chosen,
            )
        )  # fmt: skip
    return sorted(found, key=lambda one: not one.is_news)


def settings_sheet(settings: list[Setting]) -> Sheet:
    """Return them as a table."""
    rows = [[one.name, one.value, one.default, _how(one)] for one in settings]
    return Sheet("settings", ["setting", "value", "default", "changed"], rows)


def _how(one: Setting) -> str:
    if one.changed:
        return "yes"
    return "chosen" if one.chosen else "no"


def _text(value: Any) -> str:
    return "(empty)" if value == "" else str(value)
