"""Figures of runs, and of the same settings over seeds: mean and range. Unknown is None."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.newest import open_newest
from frugalfl_server.run.records import score_of
from frugalfl_server.run.run_list import list_runs
from frugalfl_server.run.summary import OURS
from frugalfl_sim.sweep.grid import Change
from frugalfl_sim.sweep.points import Point, typed

#: Names of figures, as JSON and columns have them, beside the measure.
COSTS = (
    "uplink_bytes", "downlink_bytes", "bytes", "measured_j", "estimated_j", "seconds",
    "rounds_to_target",
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """One run of the sweep as it ended.

    Attributes:
        point: Its settings.
        run: Its directory; None: it was not made.
        reason: Why it failed; empty: it is finished.
        measure: Name of the first measure of the task.
        better: Whether a ``higher`` or a ``lower`` value of that is better.
        figures: ``value`` (the measure) and those of :data:`COSTS`.
    """

    point: Point
    run: Path | None
    reason: str
    measure: str
    better: str
    figures: Mapping[str, float | None]


@dataclass(frozen=True)
class Spread:
    """A figure over seeds."""

    mean: float
    least: float
    most: float


@dataclass(frozen=True)
class Group:
    """The same settings under all seeds.

    Attributes:
        changes: The settings.
        runs: How many finished.
        failed: How many did not.
        figures: Of those that finished; one that any of them lacks is unknown.
    """

    changes: tuple[Change, ...]
    runs: int
    failed: int
    figures: Mapping[str, Spread | None]

    @property
    def label(self) -> str:
        """The settings as they are typed."""
        return typed(self.changes)


def outcome_of(point: Point, run: Path | None, reason: str, target: float | None) -> Outcome:
    """Read the figures of a run from its own files.

    Args:
        point: Its settings.
        run: Its directory.
        reason: Why it failed, if it did.
        target: Value of the measure to count rounds to.

    Raises:
        RunError: Its files are damaged.
    """
    if run is None or reason:
        return Outcome(point, run, reason, "", "", {})
    listed = list_runs([run])[0]
    summary = RunDirectory(run).read_json("summary.json")
    up, down = summary["uplink_bytes"], summary["downlink_bytes"]
    measure, better = str(listed.measure), str(listed.better)
    figures = {
        "value": listed.value,
        "uplink_bytes": up,
        "downlink_bytes": down,
        "bytes": up + down,
        "measured_j": summary["energy_j"]["measured"],
        "estimated_j": summary["energy_j"]["estimated"],
        "seconds": summary["wall_s"],
        "rounds_to_target": None if target is None else _reached(run, measure, better, target),
    }
    return Outcome(point, run, "", measure, better, figures)


def grouped(outcomes: Sequence[Outcome]) -> list[Group]:
    """Bring together what differs in the seed only, in the order of the grid."""
    groups: dict[tuple[Change, ...], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.point.group, []).append(outcome)
    return [_group(changes, members) for changes, members in groups.items()]


def pareto(
    groups: Sequence[Group], cost: Callable[[Group], float | None], better: str
) -> list[int]:
    """Return the places of groups that no other one beats in both value and cost, the cheap first.

    Args:
        groups: With their means.
        cost: What less of is better; None: unknown.
        better: Whether a ``higher`` or a ``lower`` value is better.
    """
    known = []
    for place, group in enumerate(groups):
        value, price = group.figures.get("value"), cost(group)
        if value is not None and price is not None:
            known.append((price, -value.mean if better == "higher" else value.mean, place))
    front, best = [], float("inf")
    for _, badness, place in sorted(known):
        if badness < best:
            front.append(place)
            best = badness
    return front


def mean_of(group: Group, name: str) -> float | None:
    """Return the mean of a figure."""
    spread = group.figures.get(name)
    return None if spread is None else spread.mean


def joules_of(group: Group) -> float | None:
    """Return the mean joules: measured if all were, else estimated."""
    measured = mean_of(group, "measured_j")
    return mean_of(group, "estimated_j") if measured is None else measured


def cost_title(cost: str, groups: Sequence[Group]) -> str:
    """Return what a cost is called: of joules, whether a meter measured them.

    Args:
        cost: ``bytes`` or ``joules``.
        groups: Those that are compared.
    """
    if cost != "joules":
        return cost
    found = [group for group in groups if joules_of(group) is not None]
    kinds = {"estimated" if mean_of(g, "measured_j") is None else "measured" for g in found}
    return f"joules ({' or '.join(sorted(kinds)) or 'not known'})"


def _group(changes: tuple[Change, ...], members: Sequence[Outcome]) -> Group:
    done = [one.figures for one in members if not one.reason]
    figures = {name: _spread([one[name] for one in done]) for name in ("value", *COSTS)}
    return Group(changes, len(done), len(members) - len(done), figures)


def _spread(values: Sequence[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    return Spread(fmean(known), min(known), max(known))


def _reached(run: Path, measure: str, better: str, target: float) -> int | None:
    trained = [
        one for one in open_newest(run).rounds if one.federation == OURS and one.phase == "train"
    ]
    for record in trained:
        value = score_of(record, measure)
        if value is not None and (value >= target if better == "higher" else value <= target):
            return record.round
    return None
