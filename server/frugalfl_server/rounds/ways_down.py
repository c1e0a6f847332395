"""From the settings to the way down."""

from __future__ import annotations

from frugalfl.blocks import Parameters
from frugalfl.settings import Settings
from frugalfl_server.rounds.downlink import Downlink
from frugalfl_server.rounds.folded_downlink import FoldedDownlink
from frugalfl_server.rounds.way_down import WayDown


def way_down(
    model: Parameters,
    settings: Settings,
    version: int = 0,
    seed: int | None = None,
    constants: frozenset[str] = frozenset(),
) -> WayDown:
    """Return what brings clients on to a model that nobody holds.

    Args:
        model: The shared parameters.
        settings: Of the run.
        version: Number of this first version.
        seed: Clients draw this model from it themselves; ``None``: it has to travel.
        constants: Tensors that no training moves; a subspace leaves them as they are.

    Raises:
        UsageError: The subspace cannot be used with this model.
    """
    if settings.wire.subspace is not None:
        return FoldedDownlink(
            model, settings.wire.subspace, settings.run.seed, version, seed, constants
        )
    return Downlink(
        model, settings.wire.downlink, version, seed, settings.wire.downlink_budget,
        settings.rounds.updates_per_step,
    )  # fmt: skip
