"""Joules: meters, the record, the ledger on the device, device profiles. Standard library only."""

# Type checkers take it for true; the module typing alone is as large as all that a meter loads.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from frugalfl.energy.chain import Head
    from frugalfl.energy.choose import choose_meter
    from frugalfl.energy.grid import Grid, parse_grid
    from frugalfl.energy.ledger import Ledger
    from frugalfl.energy.meter import Meter, Window
    from frugalfl.energy.models import mac_reading, radio_reading
    from frugalfl.energy.profiles import DeviceProfile, profile_named
    from frugalfl.energy.reading import Reading, counted
    from frugalfl.energy.record import SERVER, EnergyRecord, record_of, tidied
    from frugalfl.energy.sums import Totals, spent, totals

#: Module of each name, loaded when the name is asked for: a meter needs no SQLite. No module here
#: may be called as a name is, because it would take its place.
_HOMES = {
    "Head": "chain",
    "choose_meter": "choose",
    "Grid": "grid",
    "parse_grid": "grid",
    "Ledger": "ledger",
    "Meter": "meter",
    "Window": "meter",
    "mac_reading": "models",
    "radio_reading": "models",
    "DeviceProfile": "profiles",
    "profile_named": "profiles",
    "Reading": "reading",
    "counted": "reading",
    "SERVER": "record",
    "EnergyRecord": "record",
    "record_of": "record",
    "tidied": "record",
    "Totals": "sums",
    "spent": "sums",
    "totals": "sums",
}

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
    "radio_reading",
    "record_of",
    "spent",
    "tidied",
    "totals",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
