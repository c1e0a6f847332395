"""Estimates from counts: bytes and contacts of a radio, multiply-accumulates of a microcontroller.

All return a :class:`Reading` whose joules are ``None``, with the reason, if there is no figure.
"""

from __future__ import annotations

from frugalfl.energy.profiles import DeviceProfile, links
from frugalfl.energy.reading import Reading

_BYTES_PER_MB = 1e6
_J_PER_NJ = 1e-9


def radio_reading(link: str, uplink_bytes: int, downlink_bytes: int, contacts: int) -> Reading:
    """Estimate what a device's radio takes for some traffic.

    Args:
        link: The device's word for its link; empty: it does not say.
        uplink_bytes: Bytes it sends (B).
        downlink_bytes: Bytes it receives (B).
        contacts: How often the radio wakes for them.
    """
    figures = links().get(link)
    if figures is None:
        why = f"no figures for link {link!r}" if link else "the device does not name its link"
        return _estimate("radio", "radio", why)
    energy_j = (
        figures.uplink_j_per_mb * uplink_bytes + figures.downlink_j_per_mb * downlink_bytes
    ) / _BYTES_PER_MB + figures.contact_j * contacts
    source = f"{link}: {figures.source}"
    return _estimate("radio", "radio", source, energy_j, figures.uncertainty_rel)


def mac_reading(profile: DeviceProfile, macs: int | None) -> Reading:
    """Estimate what a microcontroller takes for some multiply-accumulates.

    Args:
        profile: With ``nj_per_mac``.
        macs: How many; ``None``: nobody counted.
    """
    if profile.nj_per_mac is None or macs is None:
        why = "its multiply-accumulates were not counted" if macs is None else "it has no nJ a MAC"
        return _estimate("cpu", "macs", f"{profile.name}: {why}")
    energy_j = profile.nj_per_mac * _J_PER_NJ * macs
    source = f"{profile.name}: {profile.source}"
    return _estimate("cpu", "macs", source, energy_j, profile.uncertainty_rel, scope="board")


def _estimate(
    component: str,
    method: str,
    source: str,
    energy_j: float | None = None,
    uncertainty_rel: float | None = None,
    scope: str = "process",
) -> Reading:
    return Reading(
        component=component,
        energy_j=energy_j,
        idle_j=None,
        measured=False,
        method=method,
        source=source,
        scope=scope,
        uncertainty_rel=uncertainty_rel,
    )
