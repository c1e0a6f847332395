"""``phones-at-night``: phones that take part while they charge, at night, on their home's Wi-Fi.

That phones are asked only if idle, charging and on Wi-Fi, and that 6 to 10 % drop out of a round:
Bonawitz et al., Towards Federated Learning at Scale: System Design, MLSys 2019 (8 % here). Wi-Fi of
phones: 4.12 Mbit/s down and 0.94 up, medians of Huang et al., A Close Examination of Performance
and Power Characteristics of 4G LTE Networks, MobiSys 2012 (quoted from memory). Assumed: the
figures' spread, 80 ms for a round trip, that a phone is on its charger from an hour between 21 and
0 o'clock for three to nine hours, and that the server starts at 18 o'clock.
"""

from __future__ import annotations

import random

from frugalfl.energy.profiles import DeviceProfile
from frugalfl_sim.world.device import DAY_H, SimulatedDevice
from frugalfl_sim.world.fleet_plan import FleetPlan, speed_of, spread

_DOWN_BYTES_PER_S, _UP_BYTES_PER_S = 4.12e6 / 8, 0.94e6 / 8
_FIRST_H, _LAST_H = 21, 24
_SHORTEST_H, _LONGEST_H = 3, 9


def _draw(chance: random.Random, profile: DeviceProfile) -> SimulatedDevice:
    link = spread(1.0, 0.7, chance)
    plugged = chance.randint(_FIRST_H, _LAST_H)
    hours = range(plugged, plugged + chance.randint(_SHORTEST_H, _LONGEST_H))
    return SimulatedDevice(
        operations_per_s=speed_of(profile, chance),
        down_bytes_per_s=_DOWN_BYTES_PER_S * link,
        up_bytes_per_s=_UP_BYTES_PER_S * link,
        latency_s=0.08,
        dropout=0.08,
        hours=frozenset(hour % DAY_H for hour in hours),
    )


PLAN = FleetPlan(
    about="phones on their chargers at night, from 21 to 9 o'clock, 8 % drop out",
    devices="phone on wifi",
    begins_h=18,
    draw=_draw,
)
