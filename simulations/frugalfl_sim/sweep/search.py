"""One search: trials by Optuna, each an ordinary run, kept so that the search goes on when killed.

Akiba et al., "Optuna", KDD 2019; the sampler is TPE (Bergstra et al., NeurIPS 2011). With one
metric a trial that is worse after a round than the median of earlier ones is stopped there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from frugalfl.atomic import make_private_folder
from frugalfl.calls import unknown
from frugalfl.energy.record import known_sum
from frugalfl.errors import FrugalFLError, UsageError
from frugalfl.task import load_task
from frugalfl_server.report.texts import whole_energy
from frugalfl_server.rounds.evaluate import scoring_for
from frugalfl_server.run.newest import open_newest
from frugalfl_server.run.records import RoundRecord, score_of
from frugalfl_server.run.summary import of_run
from frugalfl_server.run.watch import Watcher, watching
from frugalfl_sim.sweep.figures import outcome_of
from frugalfl_sim.sweep.place import Place
from frugalfl_sim.sweep.points import Point, point_of, typed
from frugalfl_sim.sweep.run_point import Work, app_kept, run
from frugalfl_sim.sweep.space import Space

#: Metrics that every run has, and of which less is better.
COSTS = ("bytes", "joules", "seconds")
_JOURNAL, _POINT = "study.journal", "point"
_KILLED = "killed"
#: So much higher are the seeds of a search by chance.
_OTHER = 1_000_000
#: Trials by chance before the sampler and the pruner know anything, and rounds of each that pass.
_BY_CHANCE, _WARM = 5, 2


@dataclass(frozen=True)
class Spent:
    """What runs took: joules of clients and server, never added; seconds of the rounds."""

    measured_j: float | None
    estimated_j: float | None
    seconds: float
    runs: int


@dataclass(frozen=True)
class Search:
    """What is searched.

    Attributes:
        app: The app's folder.
        place: Where runs and the study go.
        space: What is chosen from.
        metrics: Names: a measure of the task, or one of :data:`COSTS`.
        better: For each, ``higher`` or ``lower``.
        sampler: ``tpe`` or ``random``.
    """

    app: Path
    place: Place
    space: Space
    metrics: tuple[str, ...]
    better: tuple[str, ...]
    sampler: str = "tpe"

    @property
    def prunes(self) -> bool:
        """Whether trials may be stopped early."""
        return len(self.metrics) == 1 and self.metrics[0] not in COSTS

    def study(self) -> optuna.Study:
        """Open the study in the folder, or make it."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        make_private_folder(self.place.path)
        storage = JournalStorage(JournalFileBackend(str(self.place.path / _JOURNAL)))
        pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
        if self.prunes:
            pruner = optuna.pruners.MedianPruner(_BY_CHANCE, n_warmup_steps=_WARM)
        ways = [
            StudyDirection.MAXIMIZE if one == "higher" else StudyDirection.MINIMIZE
            for one in self.better
        ]
        study = optuna.create_study(
            storage=storage, pruner=pruner, study_name=self._name, directions=ways,
            load_if_exists=True,
        )  # fmt: skip
        seed = len(study.trials)  # going on with the seed of the start would draw the same again
        study.sampler = (
            optuna.samplers.TPESampler(seed=seed, n_startup_trials=_BY_CHANCE)
            if self.sampler == "tpe"
            else optuna.samplers.RandomSampler(seed=_OTHER + seed)
        )
        _again(study)
        return study

    @property
    def _name(self) -> str:
        """Name of the study: another space or other metrics are another one in the same folder."""
        return repr((self.sampler, self.metrics, sorted(self.space.free.items()), self.space.fixed))

    def trial(self, study: optuna.Study) -> FrozenTrial:
        """Run one trial, and return it as it ended.

        Raises:
            Interrupted: Ctrl-C came; the trial is gone on with next time.
        """
        trial = study.ask(self.space.distributions())
        try:
            point = point_of(self.app, self.space.changes(trial.params))
        except UsageError as error:  # the ends of each span were tried; a combination was not
            trial.set_user_attr("failed", str(error))
            study.tell(trial, state=TrialState.FAIL)
            return study.trials[trial.number]
        trial.set_user_attr(_POINT, point.name)
        state, values, why = self._run(trial, point)
        if why:
            trial.set_user_attr("failed", why)
        study.tell(trial, values, state=state)
        return study.trials[trial.number]

    def _run(self, trial: Trial, point: Point) -> tuple[TrialState, list[float] | None, str]:
        stopped = False

        def see(record: RoundRecord) -> None:
            nonlocal stopped
            value = score_of(record, self.metrics[0])
            if not self.prunes or record.phase != "train" or value is None:
                return
            trial.report(value, record.round)
            if trial.should_prune():
                stopped = True
                raise FrugalFLError(f"stopped by the search after round {record.round}")

        begun = self.place.run_of(point)
        try:
            for record in [] if begun is None else open_newest(begun).rounds:
                see(record)  # of a trial that was killed, or tried before
            why = "" if self.place.finished(point) else self._begin(point, begun, see)
        except FrugalFLError as error:
            if not stopped:
                raise
            why = str(error)
        if stopped:
            return TrialState.PRUNED, None, ""
        return (TrialState.FAIL, None, why) if why else self._values(point)

    def _begin(self, point: Point, begun: Path | None, see: Watcher) -> str:
        work = Work(0, self.app, point.settings.as_config(), self.place.folder_of(point), begun)
        with watching(see):
            return run(work)

    def _values(self, point: Point) -> tuple[TrialState, list[float] | None, str]:
        known = self.figures(point)
        lacking = [name for name in self.metrics if known[name] is None]
        if lacking:
            return TrialState.FAIL, None, f"{', '.join(lacking)}: not known of this run"
        return TrialState.COMPLETE, [float(known[name] or 0) for name in self.metrics], ""

    def figures(self, point: Point) -> dict[str, float | None]:
        """Return the metrics of a finished run.

        Raises:
            UsageError: There is no measure of that name.
        """
        path = self.place.run_of(point)
        assert path is not None
        figures = outcome_of(point, path, "", None).figures
        measured, estimated = figures["measured_j"], figures["estimated_j"]
        summary = of_run(open_newest(path), "finished", None)
        known = {
            "bytes": figures["bytes"], "seconds": figures["seconds"],
            "joules": estimated if measured is None else measured,
            "accuracy": summary["accuracy"], **summary["metrics"],
        }  # fmt: skip
        return {name: known.get(name) for name in self.metrics}

    def spent(self, points: Sequence[str]) -> Spent:
        """Sum up what the runs of some points took, stopped ones too, each once."""
        found = [
            of_run(open_newest(path.parent), "finished", None)
            for name in dict.fromkeys(points)
            for path in (self.place.path / "runs" / name).glob("*/run.json")
            if not path.parent.is_symlink()
        ]
        joules = [whole_energy(one) for one in found]
        return Spent(
            known_sum(one["measured"] for one in joules),
            known_sum(one["estimated"] for one in joules),
            sum(float(one["wall_s"]) for one in found),
            len(found),
        )

    def randomly(self) -> Search:
        """Return the same search by chance, in a folder within this one's."""
        return replace(self, sampler="random", place=Place(self.place.path / "random"))


def done(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that count: those of a killed process were begun again."""
    return [one for one in study.trials if one.state.is_finished() and not _stale(one)]


def points_tried(trials: Sequence[FrozenTrial]) -> list[str]:
    """Return the points that trials ran."""
    return [one.user_attrs[_POINT] for one in trials if _POINT in one.user_attrs]


def failed(trial: FrozenTrial) -> str:
    """Return why a trial failed; empty: it did not."""
    return str(trial.user_attrs.get("failed", ""))


def directions(app: Path, reference: str, metrics: Sequence[str]) -> tuple[str, ...]:
    """Return for each metric which value of it is better.

    Args:
        app: The app's folder.
        reference: Its setting ``task``.
        metrics: Their names.

    Raises:
        UsageError: Neither the task measures that, nor is it a cost; or it is named twice.
        TaskError: The task has no public rows, or breaks down.
    """
    with app_kept(app, reference):
        task = load_task(reference)
        rows = task.public_rows().test if task.has_public_rows else task.rows_of(0, 1)
        scoring = scoring_for(task, task.new_model(), rows, task.whose_rows)
    known = {one["name"]: one["better"] for one in scoring.about()} | dict.fromkeys(COSTS, "lower")
    for metric in metrics:
        if metric not in known:
            raise unknown("metric", metric, known)
    if len(set(metrics)) < len(metrics):
        raise UsageError(f"--metric {metrics[0]} is given twice, or another one is")
    return tuple(known[metric] for metric in metrics)


def label(search: Search, trial: FrozenTrial) -> str:
    """Return what a trial chose, as it is typed."""
    return typed([(key, str(trial.params[key])) for key in search.space.free])


def _stale(trial: FrozenTrial) -> bool:
    return bool(trial.user_attrs.get(_KILLED))


def _again(study: optuna.Study) -> None:
    """Begin trials again that a killed process left: their runs go on from where they were."""
    left = [one for one in study.trials if one.state == TrialState.RUNNING]
    for trial in left:
        optuna.trial.Trial(study, trial._trial_id).set_user_attr(_KILLED, True)
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)
