"""What a search chooses from, as it is typed: ``learning-rate=0.001..0.3:log``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from frugalfl.calls import unknown
from frugalfl.errors import UsageError
from frugalfl.settings import OWN, places, takes_text
from frugalfl_sim.sweep.grid import Change, read_axis

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

_SPAN = re.compile(r"([^.,:]*(?:\.\d+)?(?:e-?\d+)?)\.\.([^,:]+?)(:log)?")


@dataclass(frozen=True)
class Span:
    """All numbers between two, ends included; whole ones only if both ends are written so."""

    low: float
    high: float
    whole: bool
    log: bool


@dataclass(frozen=True)
class Space:
    """What is searched, and what is the same in all trials.

    Attributes:
        free: By key, a span or the values of a list.
        fixed: Settings with one value.
    """

    free: Mapping[str, Span | tuple[str, ...]]
    fixed: tuple[Change, ...]

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return it as Optuna takes it."""
        return {key: _distribution(one) for key, one in self.free.items()}

    def changes(self, chosen: Mapping[str, object]) -> tuple[Change, ...]:
        """Return the settings of a trial."""
        return (*self.fixed, *((key, str(chosen[key])) for key in self.free))

    def corners(self) -> list[tuple[Change, ...]]:
        """Return a trial for each end of a span and each value of a list, to be checked."""
        first = {key: _ends(one)[0] for key, one in self.free.items()}
        return [
            self.changes({**first, key: end})
            for key, one in self.free.items()
            for end in _ends(one)
        ]


def read_space(words: Sequence[str]) -> Space:
    """Read what a search chooses from.

    Raises:
        UsageError: A key is unknown or comes twice, a span is empty, nothing is left to choose, or
            seeds are among it: the best of them would be luck.
    """
    free: dict[str, Span | tuple[str, ...]] = {}
    fixed: list[Change] = []
    for word in words:
        key, values = _read(word)
        if key in free or key in dict(fixed):
            raise UsageError(f"{key} is given twice; write its values once")
        if key not in places() and not key.startswith(OWN):
            raise unknown("config key", key, places())
        if isinstance(values, tuple) and len(values) == 1:
            fixed.append((key, values[0]))
        else:
            free[key] = values
    if "seed" in free:
        raise UsageError("the best of several seeds is luck, no setting; give one seed, or none")
    if not free:
        raise UsageError("nothing to choose from: give a key=low..high or key=value,value")
    return Space(free, tuple(fixed))


def _read(word: str) -> tuple[str, Span | tuple[str, ...]]:
    key, _, text = word.partition("=")
    found = None if takes_text(key) else _SPAN.fullmatch(text)
    if found is None:
        key, values = read_axis(word)
        return key, tuple(values)
    return key, _span(key, text, found)


def _span(key: str, text: str, found: re.Match[str]) -> Span:
    try:
        low, high = float(found[1]), float(found[2])
    except ValueError:
        raise UsageError(f"{key}={text} is no span of numbers such as 0.001..0.3:log") from None
    if not (low < high and math.isfinite(low) and math.isfinite(high)):
        raise UsageError(f"{key}={text} holds no number; the smaller end comes first")
    if found[3] and low <= 0:
        raise UsageError(f"{key}={text}: a logarithmic span begins above 0")
    kind = type(places()[key][1].default) if key in places() else None
    whole = kind is int or (kind is None and found[1].isdecimal() and found[2].isdecimal())
    if whole and not (low.is_integer() and high.is_integer()):
        raise UsageError(f"{key} takes whole numbers; write the ends of {text} so")
    return Span(low, high, whole, bool(found[3]))


def _ends(values: Span | tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(values, tuple):
        return values
    ends = values.low, values.high
    return tuple(str(int(end)) if values.whole else repr(end) for end in ends)


def _distribution(values: Span | tuple[str, ...]) -> BaseDistribution:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(values, tuple):
        return CategoricalDistribution(values)
    if values.whole:
        return IntDistribution(int(values.low), int(values.high), log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)
