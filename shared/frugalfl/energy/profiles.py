"""Device profiles: what a board draws at idle and under full load.

The figures are estimates to fall back on where no meter is. For the Raspberry Pis they are the
published linear fits of PowerJoular (Noureddine 2022), power = idle + slope x load; the generic
profile is a plain watt figure per busy core, the order of magnitude that CodeCarbon 3.3 also
assumes for a processor that it does not know.
"""

from __future__ import annotations

from dataclasses import dataclass

from frugalfl.calls import unknown


@dataclass(frozen=True)
class DeviceProfile:
    """Power of one kind of device.

    Attributes:
        name: As in the setting ``device``.
        idle_w: Power when nothing runs (W); ``None`` where it is not known.
        busy_w_per_core: What one core at full load adds (W).
        uncertainty_rel: Relative uncertainty of an estimate made from this profile (k = 2).
        source: Where the figures come from.
    """

    name: str
    idle_w: float | None
    busy_w_per_core: float
    uncertainty_rel: float
    source: str


_FIT = "PowerJoular linear fit"

PROFILES: dict[str, DeviceProfile] = {
    profile.name: profile
    for profile in (
        DeviceProfile("generic", None, 4.0, 0.5, "generic 4 W per busy core"),
        DeviceProfile("raspberry-pi-zero-w", 0.920, 0.473, 0.3, _FIT),
        DeviceProfile("raspberry-pi-3b", 1.078, 3.477 / 4, 0.3, _FIT),
        DeviceProfile("raspberry-pi-3b-plus", 2.002, 3.298 / 4, 0.3, _FIT),
        DeviceProfile("raspberry-pi-4b", 2.286, 4.534 / 4, 0.3, _FIT),
        DeviceProfile("raspberry-pi-5b", 4.403, 3.458 / 4, 0.3, _FIT),
    )
}


def profile_named(name: str) -> DeviceProfile:
    """Return a profile by name.

    Raises:
        UsageError: There is none of that name.
    """
    if name not in PROFILES:
        raise unknown("device profile", name, PROFILES)
    return PROFILES[name]
