"""One seed and one division into branches: every method, with own and with shared counters."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fraud.bank import Bank, bank_of
from fraud.federations import GROWTH, TREES, WAYS, federate, task_and_settings
from fraud.prepare import Prepared, correction, need_both_classes, prepare, split_of
from fraud.schema import DAY
from frugalfl import Examples
from frugalfl.sums import Tables
from frugalfl_sim.comparison.estimates import Joules, total
from frugalfl_sim.comparison.rows import Row
from frugalfl_sim.comparison.trained import Logits, Trained, measure, train_network, train_trees
from frugalfl_sim.rare_cases.evaluation import HeldOut, evaluate

#: Counters as rows and settings call them.
COUNTERS = ("local", "shared")


@dataclass(frozen=True)
class Study:
    """What is compared.

    Attributes:
        settings: The branches' ``pilot.toml``.
        split: Name of this division into branches.
        seed: Of the training.
        counters: Some of :data:`COUNTERS`.
        ways: Some of :data:`~fraud.federations.WAYS`.
        every_row: Also train centralised trees on all negatives.
        runs: Folder for run directories.
    """

    settings: Path
    split: str
    seed: int
    counters: Sequence[str] = COUNTERS
    ways: Sequence[str] = tuple(WAYS)
    every_row: bool = True
    runs: Path = Path("runs")


def rows_of(study: Study, say: Callable[[str], None]) -> Iterator[Row]:
    """Run every method of a study.

    Raises:
        FrugalFLError: The data cannot be used, or a federation cannot go on.
    """
    bank = bank_of(study.settings)
    for counters in study.counters:
        condition = _Condition(study, bank, counters)
        for made in (condition.centralised, condition.alone, condition.federated):
            for row in made():
                if row.branch is None:
                    found = row.evaluation.pooled.average_precision
                    told = "unknown" if found is None else f"{found:.3f}"
                    say(
                        f"seed {study.seed}, {study.split}, {counters} counters: "
                        f"{row.method:<11} AP {told}  {row.seconds:.0f} s"
                    )
                yield row


class _Condition:
    """One study with own or with shared counters."""

    def __init__(self, study: Study, bank: Bank, counters: str) -> None:
        self._study, self._bank, self._counters = study, bank, counters
        self._shared = counters == "shared"
        self._totals: Sequence[Tables | None] = (
            bank.totals() if self._shared else [None] * bank.branches
        )
        self._parts = [
            bank.prepared(branch, self._totals[branch]) for branch in range(bank.branches)
        ]
        need_both_classes(part.train for part in self._parts)
        self._x = np.concatenate([part.test_x for part in self._parts])
        self._held_out = held_out_of(bank, self._parts)
        self._correction = correction(bank.config.keep_negatives)

    def centralised(self) -> Iterator[Row]:
        """Train on all rows in one place: the forbidden upper bound."""
        study = self._study
        thinned = [part.train for part in self._parts]
        yield self._row("central", self._trees(thinned), self._correction)
        if study.every_row:
            config = replace(self._bank.config, keep_negatives=1.0)
            whole = [
                prepare(self._bank.transactions(branch), config, totals).train
                for branch, totals in enumerate(self._totals)
            ]
            yield self._row("central_all", self._trees(whole), 0.0)
            del whole
        self._totals = ()  # the largest thing in memory, and of no more use
        if "mlp" in study.ways:
            task, settings = task_and_settings("mlp", study.settings, self._shared, study.seed)
            trained = train_network(task, settings, thinned)
            yield self._row("central_mlp", trained, self._correction)

    def alone(self) -> Iterator[Row]:
        """Train each branch by itself; score its own rows, and everybody's."""
        models = [self._trees([part.train]) for part in self._parts]
        own = np.zeros(len(self._x))
        cost: list[Joules] = []
        for branch, model in enumerate(models):
            logits, scoring = self._scored(model, self._correction)
            here = self._held_out.branch == branch
            own[here] = logits[here]
            cost.append(scoring.per(len(models)))
            name = self._held_out.branches[branch]
            yield self._of("alone", name, logits, model, scoring)
        everybody = replace(
            models[0],
            training=total(model.training for model in models),
            model_bytes=round(np.mean([model.model_bytes for model in models])),
            seconds=sum(model.seconds for model in models),
        )
        yield self._of("alone", None, own, everybody, total(cost))

    def federated(self) -> Iterator[Row]:
        """Run the federations."""
        study = self._study
        for way in study.ways:
            began = time.monotonic()
            done = federate(
                way, study.settings, self._shared, study.seed, self._bank.branches, study.runs
            )
            seconds = time.monotonic() - began
            for method, model in done.models.items():
                row = self._row(method, model, self._correction)
                yield replace(
                    row, uplink=done.uplink, downlink=done.downlink, rounds=done.rounds,
                    seconds=seconds,
                )  # fmt: skip

    def _trees(self, parts: Sequence[Examples]) -> Trained:
        return train_trees(parts, GROWTH, TREES, self._study.seed)

    def _row(self, method: str, model: Trained, shift: float) -> Row:
        logits, scoring = self._scored(model, shift)
        return self._of(method, None, logits, model, scoring)

    def _scored(self, model: Trained, shift: float) -> tuple[Logits, Joules]:
        """Score the held-out rows; ``shift`` corrects for thinned negatives."""
        logits, cost = measure(lambda: model.scores(self._x))
        return logits + shift, cost.joules

    def _of(
        self, method: str, branch: str | None, logits: Logits, model: Trained, scoring: Joules
    ) -> Row:
        return Row(
            seed=self._study.seed, split=self._study.split, counters=self._counters,
            method=method, branch=branch, evaluation=evaluate(self._held_out, logits),
            uplink=None, downlink=None, rounds=0, training=model.training, scoring=scoring,
            model_bytes=model.model_bytes, seconds=model.seconds,
        )  # fmt: skip


def held_out_of(bank: Bank, parts: Sequence[Prepared]) -> HeldOut:
    """Return the test rows of all branches; frauds of the week before the delay are known."""
    cards, times = [], []
    for branch in range(len(parts)):
        rows = bank.transactions(branch)
        split = split_of(rows, bank.config)
        week = (rows.time >= split.train_stop - 7 * DAY) & (rows.time < split.train_stop)
        known = week & (rows.fraud == 1)
        cards.append(rows.card[known])
        times.append(rows.time[known])

    def all_of(name: str) -> npt.NDArray[np.generic]:
        return np.concatenate([getattr(part, name) for part in parts])

    return HeldOut(
        y=all_of("test_y").astype(np.int8),
        time=all_of("test_time").astype(np.int64),
        card=all_of("test_card").astype(np.int64),
        amount=all_of("test_amount").astype(np.float64),
        branch=np.repeat(np.arange(len(parts)), [len(part.test_y) for part in parts]),
        branches=tuple(f"branch-{number}" for number in range(len(parts))),
        earlier_card=np.concatenate(cards),
        earlier_time=np.concatenate(times),
        label_delay_days=bank.config.label_delay_days,
    )
