"""``pis-on-wifi``: Raspberry Pis of several generations at people's homes.

Speeds are those of their profiles. Bandwidth: 69.4 Mbit/s down and 18.4 up, the median of home
broadband in the United Kingdom (Ofcom, UK Home Broadband Performance, March 2023; quoted from
memory). Assumed: its spread, 40 ms for a round trip, that a Pi is always on, that 2 % drop out of a
round, and the mix of boards.
"""

from __future__ import annotations

import random

from frugalfl.energy.profiles import DeviceProfile
from frugalfl_sim.world.device import SimulatedDevice
from frugalfl_sim.world.fleet_plan import FleetPlan, speed_of, spread

_DOWN_BYTES_PER_S, _UP_BYTES_PER_S = 69.4e6 / 8, 18.4e6 / 8


def _draw(chance: random.Random, profile: DeviceProfile) -> SimulatedDevice:
    link = spread(1.0, 0.5, chance)
    return SimulatedDevice(
        operations_per_s=speed_of(profile, chance),
        down_bytes_per_s=_DOWN_BYTES_PER_S * link,
        up_bytes_per_s=_UP_BYTES_PER_S * link,
        latency_s=0.04,
        dropout=0.02,
    )


PLAN = FleetPlan(
    about="Raspberry Pis at home, always on, 2 % drop out",
    devices="raspberry-pi-zero-2-w on wifi * 2, raspberry-pi-3b on wifi * 3, "
    "raspberry-pi-4b on wifi * 4, raspberry-pi-5b on wifi",
    begins_h=0,
    draw=_draw,
)
