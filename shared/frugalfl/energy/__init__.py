"""Joules: meters, the record, the ledger on the device, device profiles. Standard library only."""

from frugalfl.energy.chain import Head
from frugalfl.energy.choose import choose_meter
from frugalfl.energy.grid import Grid, parse_grid
from frugalfl.energy.ledger import Ledger
from frugalfl.energy.meter import Meter, Window
from frugalfl.energy.models import mac_reading, radio_reading
from frugalfl.energy.profiles import DeviceProfile, profile_named, profiles
from frugalfl.energy.reading import Reading, counted
from frugalfl.energy.record import SERVER, EnergyRecord, record_of, tidied
from frugalfl.energy.totals import Totals, totals

__all__ = [
    "SERVER",
    "DeviceProfile",
    "EnergyRecord",
    "Grid",
    "Head",
    "Ledger",
    "Meter",
    "Reading",
    "Totals",
    "Window",
    "choose_meter",
    "counted",
    "mac_reading",
    "parse_grid",
    "profile_named",
    "profiles",
    "radio_reading",
    "record_of",
    "tidied",
    "totals",
]
