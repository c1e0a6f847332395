"""Where joules come from: one file a source, each with ``find(root)``, best source first.

A source counts joules and never falls; a window takes the difference of its end and its beginning,
so that windows nest, repeat and add up. What cannot be read is explained in one line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

#: Sources of what the whole machine draws, or its processor; the first that can be read is used.
LADDER = ("file", "hwmon", "pmic", "rapl", "battery", "termux")
#: Sources of single components, used beside the one from the ladder.
BESIDE = ("nvml",)


#: Returns a running total (J), never less than before. Raises OSError if it cannot be read now,
#: ValueError if what was read makes no sense; the next total then counts from here.
Joules = Callable[[], float]
#: Returns our part of a source, from 0 to 1; ``None`` if this process does not use it.
Share = Callable[[], float | None]


@dataclass(frozen=True)
class Source:
    """One running total of joules, and what it is of.

    Attributes:
        component: One of :data:`frugalfl.energy.reading.COMPONENTS`.
        method: Name of the source's kind.
        source: The files, command or model behind it.
        scope: One of :data:`frugalfl.energy.reading.SCOPES`.
        uncertainty_rel: Relative uncertainty of the total (k = 2); ``None`` if unknown.
        total_j: The running total.
        measured: True if a meter is behind it.
        idle_s: How long a baseline at rest has to be for this source (s); ``None``: its figures
            come too seldom to take one.
        share: Our part; ``None``: the share of this process in the host's processor time.
    """

    component: str
    method: str
    source: str
    scope: str
    uncertainty_rel: float | None
    total_j: Joules = field(repr=False)
    measured: bool = True
    idle_s: float | None = None
    share: Share | None = field(default=None, repr=False)


@dataclass(frozen=True)
class FoundSources:
    """What a look for one kind of source gave.

    Attributes:
        method: The kind.
        sources: What can be read; empty: nothing.
        note: One line: what was found, or why nothing, and what to do about it.
    """

    method: str
    sources: tuple[Source, ...]
    note: str


def survey(root: Path, methods: tuple[str, ...] = LADDER + BESIDE) -> Iterator[FoundSources]:
    """Look for each kind of source under ``root`` ("/" but in tests), best first."""
    for method in methods:
        yield import_module(f"frugalfl.energy.sources.{method}").find(root)
