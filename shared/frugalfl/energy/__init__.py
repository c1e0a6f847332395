"""Joules: meters, the ledger on the device, device profiles. Standard library only."""

from frugalfl.energy.choose import choose_meter
from frugalfl.energy.ledger import Ledger
from frugalfl.energy.meter import Meter, Window
from frugalfl.energy.models import mac_reading, radio_reading
from frugalfl.energy.profiles import DeviceProfile, profile_named, profiles
from frugalfl.energy.reading import Reading, counted
from frugalfl.energy.record import EnergyRecord, Totals, totals

__all__ = [
    "DeviceProfile",
    "EnergyRecord",
    "Ledger",
    "Meter",
    "Reading",
    "Totals",
    "Window",
    "choose_meter",
    "counted",
    "mac_reading",
    "profile_named",
    "profiles",
    "radio_reading",
    "totals",
]
