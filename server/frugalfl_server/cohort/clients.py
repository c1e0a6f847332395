"""What a run knows of its clients, over all its phases."""

from __future__ import annotations

from dataclasses import dataclass, field

from frugalfl_server.cohort.energy_limits import EnergyLimits
from frugalfl_server.cohort.identity import Identities
from frugalfl_server.cohort.quarantine import Quarantine
from frugalfl_server.cohort.training_programs import TrainingPrograms


@dataclass
class Clients:
    """Who is who, who may be asked, and who can train what.

    Attributes:
        identities: Who is who.
        quarantine: Who is not asked because of wrong answers.
        limits: Who has energy left; ``None``: everybody has.
        programs: Training programs for clients without PyTorch; ``None``: all have PyTorch.
        resumed: Rounds with which the run was begun again.
    """

    identities: Identities = field(default_factory=Identities)
    quarantine: Quarantine = field(default_factory=lambda: Quarantine(None))
    limits: EnergyLimits | None = None
    programs: TrainingPrograms | None = None
    resumed: tuple[int, ...] = ()
