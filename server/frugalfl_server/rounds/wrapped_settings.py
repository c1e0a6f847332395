"""Settings that our own ServerApp follows, and a wrapped strategy cannot: refused by name."""

from __future__ import annotations

from frugalfl.errors import UsageError
from frugalfl.settings import Settings
from frugalfl_server.cohort.clients import Clients

#: What our ServerApp does around the strategy: it measures, keeps time, and ends training.
_OF_OUR_APP = (
    "trees",
    "asynchronous",
    "round-deadline",
    "over-select",
    "stop-accuracy",
    "stop-score",
    "stop-patience",
    "stop-joules",
)


def check_wrapped(settings: Settings, clients: Clients | None) -> None:
    """Refuse what a wrapped strategy would ignore.

    Args:
        settings: Of the wrapped strategy's rounds.
        clients: What their server knows of the clients; ``None``: nothing.

    Raises:
        UsageError: There is such a setting; the message names them all.
    """
    config = settings.as_config()
    ignored = [key for key in _OF_OUR_APP if config[key]]
    if settings.train.plateau is not None:  # only who measures the model knows its step sizes
        ignored.append("schedule")
    if settings.energy.budget and (clients is None or clients.limits is None):
        ignored.append("energy-budget")
    if ignored:
        named = ", ".join(f"{key} = {config[key]}" for key in ignored)
        raise UsageError(
            f"a wrapped strategy does not follow {named}, which FrugalFL's own ServerApp does: "
            "leave that out, or run frugalfl_server.app"
        )
