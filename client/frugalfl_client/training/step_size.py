"""How long steps are in a subspace."""

from __future__ import annotations

from frugalfl.settings import Settings
from frugalfl.subspace import Subspace


def share_of_step(subspace: Subspace, settings: Settings) -> float:
    """Return what a step size is multiplied by in a subspace.

    Steps of adam are as long as they are set, whatever the gradient, and so whatever the curvatures
    that add up in it. On digits (subspace(512), 20 rounds of 10 clients, seed 1) adam came to 73 %
    at 0.002 and to 92 % at 0.008 as they are; scaled to 15 % and 69 %.
    """
    return 1.0 if settings.train.local_optimizer.adaptive else subspace.step_scale
