"""The ready fleets by name: a file and a line here each."""

from __future__ import annotations

from collections.abc import Mapping

from frugalfl_sim.world.fleet_plan import FleetPlan
from frugalfl_sim.world.fleets import bank_branches, lora_sensors, phones_at_night, pis_on_wifi

FLEETS: Mapping[str, FleetPlan] = {
    "pis-on-wifi": pis_on_wifi.PLAN,
    "phones-at-night": phones_at_night.PLAN,
    "lora-sensors": lora_sensors.PLAN,
    "bank-branches": bank_branches.PLAN,
}
