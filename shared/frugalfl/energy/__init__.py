"""Joules: meters, the record, the ledger on the device, device profiles. Standard library only."""

# Type checkers take it for true; the module typing alone is as large as all that a meter loads.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from frugalfl.energy.choose import choose_meter as choose_meter
    from frugalfl.energy.electricity import Electricity as Electricity
    from frugalfl.energy.electricity import parse_electricity as parse_electricity
    from frugalfl.energy.hash_chain import Head as Head
    from frugalfl.energy.ledger import Ledger as Ledger
    from frugalfl.energy.meter import Meter as Meter
    from frugalfl.energy.meter import Window as Window
    from frugalfl.energy.models import mac_reading as mac_reading
    from frugalfl.energy.models import radio_reading as radio_reading
    from frugalfl.energy.profiles import DeviceProfile as DeviceProfile
    from frugalfl.energy.profiles import profile_named as profile_named
    from frugalfl.energy.reading import Reading as Reading
    from frugalfl.energy.reading import countable_readings as countable_readings
    from frugalfl.energy.record import SERVER as SERVER
    from frugalfl.energy.record import EnergyRecord as EnergyRecord
    from frugalfl.energy.record import record_of as record_of
    from frugalfl.energy.record import round_reading as round_reading
    from frugalfl.energy.record_sums import Totals as Totals
    from frugalfl.energy.record_sums import spent as spent
    from frugalfl.energy.record_sums import totals as totals

#: Names by module, loaded when a name is asked for: a meter needs no SQLite. No module here may be
#: called as a name is, because it would take its place.
_NAMES = {
    "hash_chain": "Head",
    "choose": "choose_meter",
    "electricity": "Electricity parse_electricity",
    "ledger": "Ledger",
    "meter": "Meter Window",
    "models": "mac_reading radio_reading",
    "profiles": "DeviceProfile profile_named",
    "reading": "Reading countable_readings",
    "record": "SERVER EnergyRecord record_of round_reading",
    "record_sums": "Totals spent totals",
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
