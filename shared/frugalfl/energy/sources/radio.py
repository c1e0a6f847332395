"""Estimate: what a radio takes for bytes and contacts, by the link that a device declares."""

from __future__ import annotations

from frugalfl.energy.reading import Reading

#: Link: J per byte up, J per byte down, J per contact, relative uncertainty, where from.
_LINKS = {
    "loopback": (0.0, 0.0, 0.0, 0.0, "no radio: one machine"),
    "ethernet": (0.0, 0.0, 0.0, 1.0, "no radio: cable"),
    "wifi": (2.2e-6, 2.2e-6, 0.0, 0.5, "Wi-Fi at 5 Mbit/s, Aalborg"),
    "lte": (5.6e-6, 2.5e-6, 12.0, 0.5, "LTE at 5 Mbit/s with its tail, Huang 2012"),
}


def radio_reading(link: str, uplink_bytes: int, downlink_bytes: int, contacts: int) -> Reading:
    """Estimate the joules of a transfer; unknown where the link is not known."""
    if link not in _LINKS:
        source = f"link {link!r} not known" if link else "link not declared"
        return Reading("radio", None, None, False, "link", source, "board", None)
    up, down, each, uncertainty, source = _LINKS[link]
    joules = up * uplink_bytes + down * downlink_bytes + each * contacts
    return Reading("radio", joules, None, False, "link", source, "board", uncertainty)
