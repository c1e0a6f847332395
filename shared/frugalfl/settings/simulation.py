"""The clients of a simulation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from frugalfl.delays import Delays, parse_delays
from frugalfl.errors import UsageError
from frugalfl.settings.keys import need, setting

#: How simulated clients train.
ENGINES = ("auto", "cohort", "sequential")


@dataclass(frozen=True)
class SimulationSettings:
    """How many there are, how they are simulated, and how long each takes to answer."""

    clients: int = setting(40, "clients of a simulation")
    engine: str = setting(
        "auto",
        "simulated clients train all at once (cohort), one after the other (sequential), or as the "
        "model and the trainer allow (auto)",
    )
    delays: str = setting(
        "",
        "seconds that simulated clients take to answer: 1 s * 32, 10 s * 8; empty: not simulated",
    )

    fleet: str = setting(
        "",
        "simulated devices with their links, hours and dropouts, on a simulated clock: "
        "pis-on-wifi, phones-at-night, lora-sensors or bank-branches; empty: not simulated",
    )

    def __post_init__(self) -> None:
        need(self.clients >= 1, "clients", self.clients, "at least 1")
        need(self.engine in ENGINES, "engine", self.engine, "auto, cohort or sequential")
        if self.clock is not None and self.fleet:
            raise UsageError(
                f"delays and fleet both say how long clients take to answer: {self.delays!r} and "
                f"{self.fleet!r}; leave one of the two out"
            )

    @cached_property
    def clock(self) -> Delays | None:
        """How long each client takes by ``delays``; ``None``: they are not set."""
        return parse_delays(self.delays)
