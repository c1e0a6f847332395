"""A search from its first trial to what it found, measured again on other seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from frugalfl.errors import FrugalFLError, Interrupted
from frugalfl.text import MOST_OF_A_LINE, printable
from frugalfl_sim.apps import quiet_flower
from frugalfl_sim.sweep.figures import Outcome
from frugalfl_sim.sweep.grid import Change
from frugalfl_sim.sweep.points import point_of
from frugalfl_sim.sweep.run_point import app_kept
from frugalfl_sim.sweep.search import (
    Search,
    Spent,
    done,
    failed,
    label,
    points_tried,
)
from frugalfl_sim.sweep.sweep import Sweep


@dataclass(frozen=True)
class Best:
    """Settings that a search ends with.

    Attributes:
        trial: That chose them.
        chosen_on: The metrics that they were chosen by, on one seed: too good to be true.
        again: The same on other seeds, mean; None: not known, or not measured again.
        seeds: Those seeds.
    """

    trial: FrozenTrial
    chosen_on: tuple[float, ...]
    again: tuple[float | None, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Found:
    """What a search found and took.

    Attributes:
        search: It.
        trials: All that ended.
        best: One, or with several metrics all that no other trial beats in every one.
        spent: What the trials took.
        spent_again: What measuring the best again took.
        random: The same number of trials by chance; None: not run.
    """

    search: Search
    trials: Sequence[FrozenTrial]
    best: Sequence[Best]
    spent: Spent
    spent_again: Spent
    random: Found | None = None


def tune(search: Search, trials: int, again: int, compare_random: bool) -> Found:
    """Search, going on with what is in the folder.

    Args:
        search: What is searched.
        trials: How many trials there are to be in all.
        again: On how many other seeds the best settings are measured again.
        compare_random: Also run as many trials by chance.

    Raises:
        Interrupted: Ctrl-C came; the message says how to go on.
        FrugalFLError: No trial finished.
    """
    first = search.space.corners()[0]
    task = point_of(search.app, first).settings.run.task
    try:
        with search.place.claimed(), quiet_flower(), app_kept(search.app, task):
            if news := search.place.begin(search.app, []):
                _say(news)
            other = _found(search.randomly(), trials, again) if compare_random else None
            return _found(search, trials, again, other)
    except (KeyboardInterrupt, Interrupted) as error:
        raise Interrupted(
            f"interrupted; the trials so far are in {search.place.path}, and the same command "
            "goes on from there"
        ) from error


def _found(search: Search, trials: int, again: int, other: Found | None = None) -> Found:
    study = search.study()
    while len(done(study)) < trials:
        trial = search.trial(study)
        _say(f"{search.sampler:>6} {len(done(study)):>4}/{trials}  {_line(search, trial)}")
    known = done(study)[:trials]
    if not any(one.state == TrialState.COMPLETE for one in known):
        raise FrugalFLError(f"none of {len(known)} trials finished, the first: {failed(known[0])}")
    best = [_measured_again(search, one, again) for one in _best(study, known)]
    points = [name for _, names in best for name in names]
    return Found(
        search, known, [one for one, _ in best], search.spent(points_tried(known)),
        search.spent(points), other,
    )  # fmt: skip


def _best(study: optuna.Study, known: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    if len(study.directions) == 1:
        return [study.best_trial]
    numbers = {one.number for one in known}
    unique = {str(one.params): one for one in study.best_trials if one.number in numbers}
    return list(unique.values())


def _measured_again(search: Search, trial: FrozenTrial, again: int) -> tuple[Best, list[str]]:
    """Run the settings of a trial on other seeds; return also the names of those points."""
    changes = search.space.changes(trial.params)
    first = point_of(search.app, changes).settings.run.seed
    seeds = tuple(range(first + 1, first + 1 + again))
    points = [point_of(search.app, _with_seed(changes, seed)) for seed in seeds]
    outcomes = Sweep(search.app, search.place, points).outcomes() if points else []
    values = [_metrics(search, outcome) for outcome in outcomes]
    means = tuple(_mean([one[name] for one in values]) for name in search.metrics)
    return Best(trial, tuple(trial.values), means, seeds), [one.name for one in points]


def _with_seed(changes: Sequence[Change], seed: int) -> tuple[Change, ...]:
    return (*(one for one in changes if one[0] != "seed"), ("seed", str(seed)))


def _metrics(search: Search, outcome: Outcome) -> dict[str, float | None]:
    return dict.fromkeys(search.metrics) if outcome.reason else search.figures(outcome.point)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def _line(search: Search, trial: FrozenTrial) -> str:
    if trial.state == TrialState.COMPLETE:
        pairs = zip(search.metrics, trial.values, strict=True)
        ended = "  ".join(f"{name} {value:.4g}" for name, value in pairs)
    else:
        ended = failed(trial) or "stopped early"
    return f"{label(search, trial) if trial.params else ''}  {ended}"


def _say(line: str) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(printable(line, MOST_OF_A_LINE), markup=False)
