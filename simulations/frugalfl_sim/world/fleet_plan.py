"""What a ready fleet is: which devices, at what hour its clock begins, and how one is drawn."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from frugalfl.energy.profiles import DeviceProfile
from frugalfl_sim.world.device import SimulatedDevice

#: Training operations of one core (1/s) of the machine that device profiles compare boards with:
#: FrugalFL's assumption, one for an instruction of 7-zip's benchmark, of which it does 2,950
#: million (``profiles.toml``). The ratios between boards are measured: sbc-bench, named there.
_OPERATIONS_PER_S = 2.95e9
#: The same of a microcontroller: FrugalFL's assumption, 80 MHz and four cycles for an operation in
#: float32, with loads and stores.
_MICROCONTROLLER = 20e6


@dataclass(frozen=True)
class FleetPlan:
    """A ready fleet.

    Attributes:
        about: What it is, in a few words.
        devices: The setting ``device`` of its clients, if the user sets none.
        begins_h: Hour of the day at which the clock begins.
        draw: Makes a device of such a profile, by chance.
    """

    about: str
    devices: str
    begins_h: int
    draw: Callable[[random.Random, DeviceProfile], SimulatedDevice]


def speed_of(profile: DeviceProfile, chance: random.Random) -> float:
    """Return a device's speed (operations/s), around its profile's.

    The spread, a fifth, is FrugalFL's assumption: temperature, other work.
    """
    core = _OPERATIONS_PER_S / profile.slowdown
    return spread(core if profile.nj_per_mac is None else _MICROCONTROLLER, 0.2, chance)


def spread(value: float, sigma: float, chance: random.Random) -> float:
    """Return a value times a log-normal factor with median 1."""
    return value * math.exp(chance.gauss(0.0, sigma))
