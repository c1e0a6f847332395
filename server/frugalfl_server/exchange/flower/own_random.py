"""Keeps Flower's threads away from the generator that clients are sampled with.

Python has one global generator. Flower samples clients from it, and a run is seeded and resumed by
it; but in a ServerApp Flower also draws the pauses between its signs of life from it, about every
20 s, from another thread, and those before it tries a call again. So the clients of a round would
depend on the clock.
"""

from __future__ import annotations

import random

from flwr.supercore import heartbeat
from flwr.supercore.inflatable import inflatable_utils
from flwr.supercore.retry import retry_invoker


def leave_random_alone() -> None:
    """Give what draws pauses generators of its own; what was drawn before is of no consequence."""
    for module in (heartbeat, inflatable_utils, retry_invoker):
        vars(module)["random"] = random.Random()  # noqa: S311 - of pauses, not of secrets
