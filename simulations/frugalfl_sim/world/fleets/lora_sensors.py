"""``lora-sensors``: microcontrollers behind LoRaWAN in Europe, where bytes take hours.

Rates come from :mod:`frugalfl_sim.world.lora_link`: at spreading factor 7, 6 bytes a second up and
60 down; at 10, 0.9 and 9. Assumed: a gateway's 10 % all for the device that it sends to (with more
devices at a gateway a model goes down by multicast), 2 s for a request and its answer, six of ten
sensors at spreading factor 7, the others at 8 to 10, and that 5 % drop out of a round.
"""

from __future__ import annotations

import random

from frugalfl.energy.profiles import DeviceProfile
from frugalfl_sim.world.device import SimulatedDevice
from frugalfl_sim.world.fleet_plan import FleetPlan, speed_of
from frugalfl_sim.world.lora_link import DEVICE_DUTY, GATEWAY_DUTY, bytes_per_s

#: Spreading factors of ten sensors.
_SPREADING = (7, 7, 7, 7, 7, 7, 8, 8, 9, 10)


def _draw(chance: random.Random, profile: DeviceProfile) -> SimulatedDevice:
    spreading = chance.choice(_SPREADING)
    return SimulatedDevice(
        operations_per_s=speed_of(profile, chance),
        down_bytes_per_s=bytes_per_s(spreading, GATEWAY_DUTY),
        up_bytes_per_s=bytes_per_s(spreading, DEVICE_DUTY),
        latency_s=2.0,
        dropout=0.05,
    )


PLAN = FleetPlan(
    about="Cortex-M4 sensors on LoRaWAN in Europe, 1 % duty cycle, 5 % drop out",
    devices="cortex-m4 on lora",
    begins_h=0,
    draw=_draw,
)
