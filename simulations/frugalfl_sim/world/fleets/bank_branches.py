"""``bank-branches``: a server in each branch of a bank, on a leased line.

Speeds are those of the profile ``x86-server``. All else is assumed: 100 Mbit/s both ways with
little spread, 20 ms for a round trip, open around the clock, and that one in two hundred is down
for maintenance in a round.
"""

from __future__ import annotations

import random

from frugalfl.energy.profiles import DeviceProfile
from frugalfl_sim.world.device import SimulatedDevice
from frugalfl_sim.world.fleet_plan import FleetPlan, speed_of, spread

_BYTES_PER_S = 100e6 / 8


def _draw(chance: random.Random, profile: DeviceProfile) -> SimulatedDevice:
    rate = spread(_BYTES_PER_S, 0.1, chance)
    return SimulatedDevice(
        operations_per_s=speed_of(profile, chance),
        down_bytes_per_s=rate,
        up_bytes_per_s=rate,
        latency_s=0.02,
        dropout=0.005,
    )


PLAN = FleetPlan(
    about="servers in branches on leased lines, 0.5 % drop out",
    devices="x86-server on ethernet",
    begins_h=0,
    draw=_draw,
)
