"""What a run is of: its task, its seed, and what it begins with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from frugalfl.errors import UsageError
from frugalfl.settings.keys import need, setting

#: Keys of an app's own, in a table ``app``, come with this in front.
OWN = "app."
OwnKey = tuple[str, str | int | float | bool]


@dataclass(frozen=True)
class RunSettings:
    """The task, the seed, the first weights, and the app's own keys."""

    task: str = setting("task:task", "module:attribute of the Task")
    seed: int = setting(
        0, "seed of the model, the sampling of clients and, in simulations, the local shuffling"
    )
    initial: str = setting(
        "exact", "first weights: exact (as the task makes them) or seeded (drawn from the seed)"
    )
    start_from: str = setting("", "run directory whose newest model to begin with; empty for none")
    resume: str = setting("", "run directory of a stopped run, to go on with it; empty: a new run")
    app: tuple[OwnKey, ...] = setting(
        (), "table of the app's own keys; its code reads NAME as app.NAME in the run config"
    )

    def __post_init__(self) -> None:
        need(self.initial in ("exact", "seeded"), "initial", self.initial, "exact or seeded")
        need(0 <= self.seed < 2**32, "seed", self.seed, "from 0 to 4294967295")


def own_key(key: str, value: Any) -> OwnKey:
    """Return one of the app's own keys, which it alone understands, without what is before it.

    Raises:
        UsageError: Its value is none that a config can hold.
    """
    if not isinstance(value, str | int | float | bool):
        raise UsageError(
            f"config key {key!r} is {value!r}; it takes a text, a number, true or false"
        )
    return key.removeprefix(OWN), value
