"""What devices are, and how many joules they may use."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from frugalfl.energy import parse_electricity
from frugalfl.energy.device_mix import DeviceMix, parse_device_mix
from frugalfl.settings.keys import FINITE, need, setting


@dataclass(frozen=True)
class EnergySettings:
    """Device profiles, electricity, and limits of energy."""

    device: str = setting("generic", "device profile, or a fleet of them, for joules")
    electricity: str = setting(
        "",
        "electricity, for grams of CO2e: ES, world, 120 g/kWh; empty: grams are unknown",
        key="grid",
    )
    budget: float = setting(
        0.0, "most joules that a client may use in the whole run; 0: none", key="energy-budget"
    )
    min_battery: int = setting(
        0, "battery (%) below which a device does not train, unless it is charging; 0: none"
    )

    def __post_init__(self) -> None:
        need(0 <= self.budget < math.inf, "energy-budget", self.budget, FINITE)
        need(0 <= self.min_battery < 100, "min-battery", self.min_battery, "from 0 to below 100")
        _ = self.device_mix, parse_electricity(self.electricity)

    @cached_property
    def device_mix(self) -> DeviceMix:
        """Which device each simulated client is."""
        return parse_device_mix(self.device)
