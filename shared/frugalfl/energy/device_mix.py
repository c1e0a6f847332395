"""The setting ``device``: which profile each client is given, and what it is connected by."""

from __future__ import annotations

import re
from dataclasses import dataclass

from frugalfl.energy.profiles import links, profile_named
from frugalfl.errors import UsageError

_KIND = r"\s*(?P<name>[\w.-]+)(\s+on\s+(?P<link>[\w.-]+))?(\s*\*\s*(?P<count>\d+))?\s*"


@dataclass(frozen=True)
class DeviceGroup:
    """Some clients of a fleet: their profile's name, their link (empty: not said), how many."""

    profile: str
    link: str
    count: int


@dataclass(frozen=True)
class DeviceMix:
    """All kinds, in the order of the clients' numbers."""

    kinds: tuple[DeviceGroup, ...]

    def of(self, number: int) -> DeviceGroup:
        """Return the kind of a client; past the last one the fleet begins again."""
        number %= sum(kind.count for kind in self.kinds)
        for kind in self.kinds:
            if number < kind.count:
                break
            number -= kind.count
        return kind


def parse_device_mix(text: str) -> DeviceMix:
    """Read a fleet.

    >>> parse_device_mix("raspberry-pi-zero-w on lte * 20, phone * 20").of(0)
    Kind(profile='raspberry-pi-zero-w', link='lte', count=20)

    Raises:
        UsageError: The text is no fleet, or names a profile or a link that is not known.
    """
    kinds = []
    for part in text.split(","):
        match = re.fullmatch(_KIND, part)
        count = int(match["count"] or 1) if match else 0
        if match is None or not count:
            raise UsageError(
                f"cannot read device {part.strip()!r}; write NAME, NAME on LINK, or several with "
                "their numbers: raspberry-pi-zero-w on lte * 20, phone on wifi * 20"
            )
        if match["link"] and match["link"] not in links():
            raise UsageError(
                f"there are no figures for link {match['link']!r}; known: {', '.join(links())}"
            )
        kinds.append(DeviceGroup(profile_named(match["name"]).name, match["link"] or "", count))
    return DeviceMix(tuple(kinds))
