"""Joules: meters, the ledger on the device, device profiles. Standard library only."""

from frugalfl.energy.cpu_time import CpuTimeMeter
from frugalfl.energy.ledger import Ledger
from frugalfl.energy.meter import Meter, Window
from frugalfl.energy.profiles import PROFILES, DeviceProfile, profile_named
from frugalfl.energy.record import EnergyRecord, Totals, totals

__all__ = [
    "PROFILES",
    "CpuTimeMeter",
    "DeviceProfile",
    "EnergyRecord",
    "Ledger",
    "Meter",
    "Totals",
    "Window",
    "profile_named",
    "totals",
]
