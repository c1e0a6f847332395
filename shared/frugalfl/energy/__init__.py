"""Joules: meters, the record, the ledger on the device, device profiles. Standard library only."""

from frugalfl.energy.chain import Head
from frugalfl.energy.cpu_time import CpuTimeMeter
from frugalfl.energy.grid import Grid, parse_grid
from frugalfl.energy.ledger import Ledger
from frugalfl.energy.meter import Meter, Window
from frugalfl.energy.profiles import PROFILES, DeviceProfile, profile_named
from frugalfl.energy.reading import Reading, counted
from frugalfl.energy.record import SERVER, EnergyRecord, record_of, tidied
from frugalfl.energy.totals import Totals, totals

__all__ = [
    "PROFILES",
    "SERVER",
    "CpuTimeMeter",
    "DeviceProfile",
    "EnergyRecord",
    "Grid",
    "Head",
    "Ledger",
    "Meter",
    "Reading",
    "Totals",
    "Window",
    "counted",
    "parse_grid",
    "profile_named",
    "record_of",
    "tidied",
    "totals",
]
