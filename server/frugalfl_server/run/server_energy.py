"""The server's own joules: the same record as a client's, with ``server`` in place of a number."""

from __future__ import annotations

from importlib import metadata

import frugalfl
from frugalfl.energy import SERVER, choose_meter, parse_electricity, profile_named
from frugalfl.energy.meter import Meter
from frugalfl.energy.recorder import Recorder

#: The server is none of the devices that the setting ``device`` speaks of.
_PROFILE = "generic"


def server_meter() -> Meter:
    """Return the meter of a server's own work."""
    return choose_meter(profile_named(_PROFILE))


def server_energy(run: str, grid: str) -> Recorder:
    """Return what collects the server's energy records of a run; windows name their round."""
    return Recorder(
        server_meter(),
        run=run,
        client=SERVER,
        device=_PROFILE,
        grid=parse_electricity(grid),
        software=f"frugalfl {frugalfl.__version__}, flwr {metadata.version('flwr')}",
    )
