"""What a run's files say, and the comparisons between them."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from frugalfl.energy import EnergyRecord, Totals, spent
from frugalfl.kinds import ACCURACY
from frugalfl.metrics import number
from frugalfl.trees.ways import HISTOGRAM, parse_way
from frugalfl_server.report.final_outcomes import Outcomes, read_outcomes
from frugalfl_server.report.joules import (
    ClientJoules,
    JouleSource,
    by_client,
    by_source,
    of_clients,
    phases_of,
)
from frugalfl_server.report.texts import direction, measure_name, measure_title, percent
from frugalfl_server.run import summary
from frugalfl_server.run.directory import MODEL_ABOUT, RunDirectory
from frugalfl_server.run.file_times import short_path
from frugalfl_server.run.records import MEASURES, RoundRecord, score_of

#: The model of a run of trees, and what it is.
TREES, _ABOUT_TREES = "model/trees.bin", "model/trees.json"
#: The accuracy, or metric, that both federations are timed to, if both get there.
_TARGET = 0.95


@dataclass(frozen=True)
class Facts:
    """A run, read once for the page and for the terminal.

    The figures are computed from the tables, so that they agree with them even if
    ``summary.json`` is missing (a killed run) or older. It has more than twelve members because
    each is one small fact, and page, tables, drawings and terminal are to read the same ones.

    Attributes:
        run: The run.
        about: ``run.json``.
        summary: As ``summary.json``; the status ``unfinished`` if there is no such file.
        export: ``model/export.json``; None if nothing was exported.
        ours: Rounds of our federation.
        baseline: Rounds of the baseline; empty if it did not run.
        slim: Rounds of the slim model trained from scratch; empty if it did not run.
        pruning: ``pruning.json``: the plan; None if nothing was to be pruned.
        fit: ``fit.json``: the model that fits the budget; None if there was no budget.
        float32_bytes: The whole model in float32, before pruning; None if it is not known.
        measures: Name, direction and unit of each measure, the first one first; None if the run
            is older than these: accuracy, and metrics that are larger for better.
        outcomes: What the final model said of the public rows; None if that is not known.
        trees: ``model/trees.json``; None if the run's model is no forest, or not finished.
    """

    run: RunDirectory
    about: Mapping[str, Any]
    summary: Mapping[str, Any]
    export: Mapping[str, Any] | None
    ours: Sequence[RoundRecord]
    baseline: Sequence[RoundRecord]
    slim: Sequence[RoundRecord]
    fit: Mapping[str, Any] | None
    float32_bytes: float | None
    measures: Sequence[Mapping[str, str]] | None = None
    pruning: Mapping[str, Any] | None = None
    outcomes: Outcomes | None = None
    trees: Mapping[str, Any] | None = None

    @property
    def trained_at_once(self) -> bool:
        """Whether our clients were simulated all at once, which the baseline's never are.

        Joules of a share in a batch are not those of training alone.
        """
        return bool(self.about["settings"].get("engine") == "cohort")

    @property
    def planned(self) -> int:
        """Rounds that the settings ask for."""
        settings = self.about["settings"]
        way = parse_way(settings.get("trees", ""))
        if way is not None and way.name == HISTOGRAM:
            return way.trees  # a round is a tree
        return int(settings["rounds"] + (settings["recover-rounds"] if self.pruned else 0))

    @property
    def pruned(self) -> bool:
        """Whether channels were, or will be, removed: as a budget demands, or as asked for."""
        if self.pruning is not None and not self.pruning["narrowed"]:
            return False
        ratio = self.about["settings"]["prune"] if self.fit is None else self.fit["ratio"]
        return bool(ratio)

    @property
    def done(self) -> Sequence[RoundRecord]:
        """Our rounds that changed the model; calibration does not."""
        return [record for record in self.ours if record.phase in ("train", "recover")]

    @property
    def recovered(self) -> Sequence[RoundRecord]:
        """Our rounds on the pruned model."""
        return [record for record in self.ours if record.phase == "recover"]

    @property
    def total_bytes(self) -> int:
        """Bytes of our federation, both ways."""
        return sum(both_ways(record) for record in self.ours)

    @property
    def baseline_bytes(self) -> int:
        """Bytes of the baseline, both ways."""
        return sum(both_ways(record) for record in self.baseline)

    @property
    def client_energy(self) -> Mapping[str, float | None]:
        """Joules in the clients' energy records, measured and estimated apart."""
        return self.client_totals.as_summary()

    # What is made of the energy records is made once: a run may have a million of them.

    @cached_property
    def client_records(self) -> Sequence[EnergyRecord]:
        """The clients' energy records."""
        return of_clients(self.run.energy)

    @cached_property
    def client_totals(self) -> Totals:
        """What the clients' energy records add up to."""
        return spent(self.client_records)

    @cached_property
    def joules_by_client(self) -> Sequence[ClientJoules]:
        """The known joules of each client, the most first."""
        return by_client(self.run.energy)

    @cached_property
    def joules_by_source(self) -> Sequence[JouleSource]:
        """The readings by how their joules were obtained."""
        return by_source(self.run.energy)

    @cached_property
    def joule_phases(self) -> Sequence[str]:
        """The phases in which clients used joules, in the order they happen."""
        return phases_of(self.run.energy)

    @property
    def grids(self) -> list[str]:
        """The carbon intensities that the clients' grams are computed with."""
        return sorted(map(str, {one.grid for one in self.client_records if one.grid is not None}))

    @property
    def comparable(self) -> bool:
        """Whether both federations sent anything, so that a ratio exists."""
        return self.total_bytes > 0 and self.baseline_bytes > 0

    @property
    def baseline_complete(self) -> bool:
        """Whether the baseline did as many rounds as ours before pruning, so totals compare."""
        return bool(self.baseline) and len(self.baseline) >= int(self.summary["rounds"])

    @property
    def metrics(self) -> list[str]:
        """Names of the measures beside accuracy."""
        return list(self.ours[-1].metrics) if self.ours else []

    @property
    def has_accuracy(self) -> bool:
        """Whether models of this task have one: in a regression nothing is right or wrong."""
        return self.measures is None or any(one["name"] == ACCURACY for one in self.measures)

    @property
    def metric(self) -> str | None:
        """The first measure, if it is not accuracy; None too if it was never known."""
        first = next(iter(self.metrics), None)
        if self.measures is not None:
            first = None if self.measures[0]["name"] == ACCURACY else self.measures[0]["name"]
        known = any(record.metrics.get(first) is not None for record in self.ours if first)
        return first if known or not self.has_accuracy else None

    @property
    def shows_share(self) -> bool:
        """Whether what the curves show is a share, between 0 and 1."""
        return self._units.get(self.metric or ACCURACY, "share") == "share"

    @property
    def lower_is_better(self) -> bool:
        """Whether a model is better with a lower value of what the curves show."""
        return any(
            one["name"] == self.metric and one["better"] == "lower" for one in self.measures or ()
        )

    @property
    def drawn(self) -> str:
        """What the curves show, in words."""
        return self.name_of(self.metric) if self.metric else ACCURACY

    @property
    def drawn_title(self) -> str:
        """The same as a heading."""
        return self.title_of(self.metric or ACCURACY)

    def name_of(self, name: str) -> str:
        """Return the name of a measure as its field writes it, with a unit that is in it."""
        return measure_name(name, self._units.get(name, ""))

    def title_of(self, name: str) -> str:
        """The same as a heading."""
        return measure_title(name, self._units.get(name, ""))

    @property
    def _units(self) -> Mapping[str, str]:
        return {one["name"]: one["unit"] for one in self.measures or ()}

    def direction(self, name: str) -> str:
        """Say which value of a measure is better, and in which unit it is."""
        for one in self.measures or ():
            if one["name"] == name:
                named = f"({one['unit']})" in self.name_of(name)
                return direction(one["better"], "" if named else one["unit"], self.unit)
        return "higher is better"

    @property
    def unit(self) -> str:
        """The targets' unit, if the task says it and a model was kept; else empty."""
        return "" if self.outcomes is None else self.outcomes.unit

    def score(self, record: RoundRecord) -> float:
        """Return what the curves show of a round; NaN if it is not known."""
        value = score_of(record, self.metric or ACCURACY)
        return math.nan if value is None else value

    def score_text(self, score: float) -> str:
        """Return such a score for people."""
        known = None if math.isnan(score) else score
        return number(known) if self.metric else percent(known)

    @property
    def target(self) -> float:
        """The score that bytes are counted up to: 95 %, or what every federation reached.

        NaN if no score is known.
        """
        ends = [self.score(rounds[-1]) for rounds in (self.ours, self.baseline) if rounds]
        known = [score for score in ends if not math.isnan(score)]
        if self.lower_is_better:
            return max(known, default=math.nan)
        return min([_TARGET, *known]) if known else math.nan

    def bytes_to_target(self, rounds: Sequence[RoundRecord]) -> int | None:
        """Return the bytes, both ways, up to the first round that reached the target."""
        target = self.target
        for record, count in zip(rounds, cumulative(rounds), strict=True):
            score = self.score(record)
            if score <= target if self.lower_is_better else score >= target:
                return count
        return None

    @property
    def simulate_command(self) -> str:
        """The command that runs the federation anew."""
        app = self.about["app"]
        place = "APP" if app is None else shlex.quote(str(short_path(Path(app))))
        options = (" --baseline" if self.baseline else "") + (" --slim" if self.slim else "")
        return f"frugalfl simulate {place}{options}"

    def command(self, verb: str) -> str:
        """Return the command that does something with this run."""
        return f"frugalfl {verb} {shlex.quote(str(short_path(self.run.path)))}"


def read_facts(run: RunDirectory) -> Facts:
    """Read what there is of a run.

    Raises:
        RunError: A file of the run is damaged.
    """
    figures = summary.of_run(run, *run.status())
    exported = (run.path / "model" / "export.json").exists()
    return Facts(
        run=run,
        about=run.read_json("run.json"),
        summary=figures,
        export=run.read_json("model/export.json") if exported else None,
        ours=[record for record in run.rounds if record.federation == summary.OURS],
        baseline=[record for record in run.rounds if record.federation == summary.BASELINE],
        slim=[record for record in run.rounds if record.federation == summary.SLIM],
        fit=run.read_json("fit.json") if (run.path / "fit.json").exists() else None,
        float32_bytes=_float32_bytes(run, figures),
        pruning=_pruning_of(run),
        measures=run.read_json(MEASURES)["measures"] if (run.path / MEASURES).exists() else None,
        outcomes=read_outcomes(run),
        trees=run.read_json(_ABOUT_TREES) if (run.path / _ABOUT_TREES).exists() else None,
    )


def _pruning_of(run: RunDirectory) -> Mapping[str, Any] | None:
    exists = (run.path / summary.PRUNING).exists()
    return run.read_json(summary.PRUNING) if exists else None


def both_ways(record: RoundRecord) -> int:
    """Return the bytes of a round, up and down."""
    return record.uplink_bytes + record.downlink_bytes


def cumulative(rounds: Sequence[RoundRecord]) -> list[int]:
    """Return the bytes, both ways, up to the end of each round."""
    return list(accumulate(both_ways(record) for record in rounds))


def _float32_bytes(run: RunDirectory, figures: Mapping[str, Any]) -> float | None:
    """Return what stock Flower uploads: seen in the baseline, or the size of the whole model."""
    if figures["baseline"]:
        seen: float | None = figures["baseline"]["uplink_bytes_per_update"]
        return seen
    phases = {record.phase for record in run.rounds if record.federation == summary.OURS}
    about = run.read_json(MODEL_ABOUT) if (run.path / MODEL_ABOUT).exists() else {"phase": "train"}
    if "recover" in phases or about.get("phase") != "train":
        whole = (_pruning_of(run) or {}).get("float32_bytes")  # the checkpoint is pruned
        return None if whole is None else float(whole)
    if "train" not in phases or not run.has_checkpoint:
        return None
    return float(sum(4 * np.size(tensor) for tensor in run.load_checkpoint().values()))
