"""The runs of a sweep before they are run: settings, and the folder that each has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from frugalfl.errors import UsageError
from frugalfl.settings import Settings
from frugalfl_server.run.app_directory import read_settings
from frugalfl_sim.checks import check_simulable
from frugalfl_sim.sweep.grid import Change

_SEED = "seed"
#: Letters of a digest that make a folder's name unique.
_DIGEST = 12


@dataclass(frozen=True)
class Point:
    """One run that is to be.

    Attributes:
        changes: What differs from the app's own settings, by key.
        settings: All of its settings.
        varied: Keys that not all points have the same value of.
    """

    changes: tuple[Change, ...]
    settings: Settings
    varied: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """Its folder: equal settings have the same one, whatever grid they are from."""
        whole = json.dumps(self.settings.as_config(), sort_keys=True)
        digest = hashlib.sha256(whole.encode()).hexdigest()[:_DIGEST]
        return f"seed-{self.settings.run.seed}-{digest}"

    @property
    def own(self) -> tuple[Change, ...]:
        """What not all points have alike."""
        return tuple(one for one in self.changes if one[0] in self.varied)

    @property
    def label(self) -> str:
        """The same, as it is typed."""
        return typed(self.own)

    @property
    def group(self) -> tuple[Change, ...]:
        """What it shares with the same settings under other seeds."""
        return tuple(one for one in self.own if one[0] != _SEED)

    @property
    def cost(self) -> float:
        """About how long it takes, beside others: trainings, times the epochs of each."""
        rounds = self.settings.rounds
        return float(rounds.count * rounds.clients_per_round * self.settings.train.epochs)


def points_of(app: Path, combinations: Sequence[tuple[Change, ...]]) -> list[Point]:
    """Read the settings of every combination, before any is run.

    Raises:
        UsageError: One cannot be, or two are the same; the message names it.
    """
    values: dict[str, set[str]] = {}
    for key, value in (change for changes in combinations for change in changes):
        values.setdefault(key, set()).add(value)
    varied = frozenset(key for key, known in values.items() if len(known) > 1)
    found: dict[str, Point] = {}
    for changes in combinations:
        point = point_of(app, changes, varied)
        twin = found.setdefault(point.name, point)
        if twin is not point:
            raise UsageError(f"{point.label} and {twin.label} are the same settings; leave one out")
    return list(found.values())


def point_of(app: Path, changes: Sequence[Change], varied: frozenset[str] = frozenset()) -> Point:
    """Read the settings of one combination.

    Raises:
        UsageError: It cannot be; the message names it.
    """
    settings = read_settings(app)  # what is wrong with the app itself is no combination's fault
    try:
        settings = read_settings(app, [f"{key}={value}" for key, value in changes])
        check_simulable(settings)
    except UsageError as error:
        own = typed([one for one in changes if one[0] in varied])
        raise UsageError(f"{own}: {error}; nothing was run") from error
    if settings.run.resume:
        raise UsageError("resume goes on with one run; leave it out: a sweep resumes by itself")
    return Point(tuple(changes), settings, varied)


def typed(changes: Sequence[Change]) -> str:
    """Return settings as they are typed.

    >>> typed([("seed", "1"), ("uplink", "zstd")]), typed([])
    ('seed=1  uplink=zstd', 'as it is')
    """
    return "  ".join(f"{key}={value}" for key, value in changes) or "as it is"
