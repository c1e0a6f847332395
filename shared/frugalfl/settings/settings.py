"""All settings together, and how they come from a run config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from functools import cache
from typing import Any

from frugalfl.calls import unknown
from frugalfl.schedule import Plateau
from frugalfl.settings.energy import EnergySettings
from frugalfl.settings.export import ExportSettings
from frugalfl.settings.keys import dashed, key_of, typed
from frugalfl.settings.rounds import RoundSettings
from frugalfl.settings.run import OWN, RunSettings, own_key
from frugalfl.settings.simulation import SimulationSettings
from frugalfl.settings.together import check_together
from frugalfl.settings.train import TrainSettings
from frugalfl.settings.wire import WireSettings
from frugalfl.trees.unused import refuse_unused


@dataclass(frozen=True)
class Settings:
    """Every setting by subject; the ``help`` of each is in its field's metadata.

    >>> Settings.of({"local-epochs": 2}, batch_size=8).train.epochs
    2
    """

    run: RunSettings = field(default_factory=RunSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    rounds: RoundSettings = field(default_factory=RoundSettings)
    wire: WireSettings = field(default_factory=WireSettings)
    energy: EnergySettings = field(default_factory=EnergySettings)
    export: ExportSettings = field(default_factory=ExportSettings)
    simulation: SimulationSettings = field(default_factory=SimulationSettings)

    def __post_init__(self) -> None:
        check_together(self)

    @classmethod
    def of(cls, config: Mapping[str, Any] | None = None, /, **keys: Any) -> Settings:
        """Check a run config and make settings of it.

        Args:
            config: By key.
            keys: More of them, with ``_`` for ``-``; they come first.

        Raises:
            UsageError: An unknown key (with the nearest known one), a wrong type or value, or what
                a run of trees would ignore.
        """
        given = {**(config or {}), **{dashed(k): v for k, v in keys.items()}}
        settings = cls._read(given)
        if settings.train.trees:
            # A config with every key is one of as_config: nobody need have written its defaults.
            written = () if given.keys() >= places().keys() else given.keys()
            refuse_unused(settings.as_config(), written)
        return settings

    @classmethod
    def _read(cls, config: Mapping[str, Any]) -> Settings:
        values: dict[str, dict[str, Any]] = {one.name: {} for one in fields(cls)}
        own = []
        for key, value in config.items():
            if key.startswith(OWN):
                own.append(own_key(key, value))
                continue
            if key not in places():
                raise unknown("config key", key, places())
            subject, one = places()[key]
            values[subject][one.name] = typed(key, value, type(one.default))
        values["run"]["app"] = tuple(own)
        return cls(**{name: _SUBJECTS[name](**given) for name, given in values.items()})

    def changed(self, **keys: Any) -> Settings:
        """Return these settings with other values at some keys, with ``_`` for ``-``.

        Raises:
            UsageError: As :meth:`of`, but for trees: on a device, what they ignore does no harm.
        """
        return self._read(self.as_config() | {dashed(k): v for k, v in keys.items()})

    def as_config(self) -> dict[str, Any]:
        """Return the settings as a run config, the app's own keys last."""
        ours = {
            key: getattr(getattr(self, subject), one.name)
            for key, (subject, one) in places().items()
        }
        return ours | {OWN + name: value for name, value in self.run.app}

    def learning_rate_at(self, number: int, stalls: int = 0) -> float:
        """Return the step size of a round.

        Args:
            number: Round, from 1; rounds after ``rounds`` are recovery rounds and start anew.
            stalls: With ``plateau``: how often the measure has stalled in this phase.
        """
        first, last = self.train.learning_rate, self.train.final_learning_rate
        place, rounds = number - 1, self.rounds.count
        if number > rounds:
            # What is left of a trained model needs smaller steps than a new one.
            first = (first + last) / 2
            place, rounds = number - 1 - rounds, self.export.recover_rounds
        if isinstance(self.train.step_sizes, Plateau):
            return self.train.step_sizes.rate(first, last, stalls)
        return self.train.step_sizes(first, last, place, rounds)


_SUBJECTS: dict[str, Any] = {one.name: one.default_factory for one in fields(Settings)}


@cache
def places() -> dict[str, tuple[str, Field[Any]]]:
    """Return where each key stands: its subject, and the field there."""
    return {
        key_of(one): (name, one)
        for name, subject in _SUBJECTS.items()
        for one in fields(subject)
        if one.name != "app"
    }


def takes_text(key: str) -> bool:
    """Say whether a setting is a text, whatever it looks like: a block may be called 0."""
    return key in places() and isinstance(places()[key][1].default, str)
