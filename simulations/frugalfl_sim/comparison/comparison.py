"""What the pilot found: every method under every condition, over seeds, as plain data.

    comparison = Comparison(rows, chosen="bagging")   # rows: of rows.Row
    summary(comparison)                               # the fields of summary.json
    comparison.to_json(); Comparison.from_json(text)
    print_comparison(comparison)                      # on the terminal
    write_page(comparison, notes, path)

One ``Row`` is one method (``rows.METHODS``) with one seed, one division into branches
(``split``) and local or shared terminal counters; the last two are the condition, a ``Cell``. Any
part may be missing: a figure is the mean over the seeds that have it.

Branches alone need more than one row for each seed and cell:

- ``branch=None``: each branch's own model scores its own rows. It has the energy of all branches.
- ``branch=NAME``, for each branch: its model scores everybody's rows. Only the evaluation is used.

A branch that cannot train alone, for want of frauds, scores with a constant and has its row too.

Average precision is compared in two ways (``BASES``), because pooled rows mix scores of branches
that may be calibrated differently, and single branches may have few frauds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from statistics import fmean
from typing import NamedTuple

from frugalfl.errors import RunError
from frugalfl_sim.comparison.estimates import Estimate, Joules, estimate, total
from frugalfl_sim.comparison.rows import METHODS, Row, row_from

#: What average precision is taken on, in words.
BASES = {
    "own_rows": "each branch's own test rows, mean over branches",
    "pooled": (
        "all test rows together, where “alone” is the mean over branches of one branch's model "
        "scoring everybody's rows"
    ),
}


class Cell(NamedTuple):
    """A condition: a division into branches, and local or shared counters."""

    split: str
    counters: str


@dataclass(frozen=True)
class Gap:
    """How far a federation gets from the mean branch alone to centralised training.

    Attributes:
        alone: Average precision of the mean branch alone, mean over seeds.
        central: Of centralised trees.
        federated: Of the method.
        closed: (federated − alone) / (central − alone) of the means; ``None`` where centralised
            training is not better than the mean branch alone, so that there is no gap.
        by_seed: The same of each seed by itself.
    """

    alone: float
    central: float
    federated: float
    closed: float | None
    by_seed: tuple[float | None, ...]


@dataclass(frozen=True)
class Subsampling:
    """What keeping a part of the negatives does to centralised trees.

    Attributes:
        energy_share: Joules with it / joules without; ``None`` where unknown.
        gain: Pooled average precision with it minus without, paired by seed.
    """

    energy_share: float | None
    gain: Estimate


@dataclass(frozen=True)
class Comparison:
    """All rows, and the figures over seeds.

    Each figure of the page is a method, so it has more than twelve.

    Attributes:
        rows: In any order.
        chosen: Key of the federated method that headlines are about, chosen by whoever runs the
            pilot and not by the held-out rows.

    Raises:
        RunError: No rows, a method or counters that are not known, the same row twice, a branch
            where none belongs, or branches alone that are not complete.
    """

    rows: tuple[Row, ...]
    chosen: str

    def __post_init__(self) -> None:
        if not self.rows:
            raise RunError("a comparison needs at least one row; no method was run")
        methods = {row.method for row in self.rows} | {self.chosen}
        if unknown := methods - set(METHODS):
            raise RunError(f"method {min(unknown)!r} is not one of {', '.join(METHODS)}")
        if not METHODS[self.chosen].federated:
            raise RunError(f"the chosen method is {self.chosen!r}, which is not a federated one")
        if other := {row.counters for row in self.rows} - {"local", "shared"}:
            raise RunError(f"counters are {min(other)!r}; they are 'local' or 'shared'")
        seen = set()
        for row in self.rows:
            if row.identity in seen:
                raise RunError(f"two rows are of {_words(row)}; each is run once")
            if row.branch is not None and row.method != "alone":
                raise RunError(f"{_words(row)}: only a model of a branch alone has a branch")
            seen.add(row.identity)
        for row in self.rows:
            if row.method == "alone" and row.branch is None:
                self._check_alone(row)
            elif (*row.identity[:4], None) not in seen:
                raise RunError(f"{_words(row)} lacks the row of all branches on their own rows")

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The conditions, in the order of the rows."""
        return tuple(dict.fromkeys(Cell(row.split, row.counters) for row in self.rows))

    @property
    def headline(self) -> Cell:
        """The condition that a reader sees first: the first split, with shared counters if run."""
        first = self.cells[0]
        shared = first._replace(counters="shared")
        return shared if shared in self.cells else first

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds, rising."""
        return tuple(sorted({row.seed for row in self.rows}))

    def methods(self, cell: Cell) -> tuple[str, ...]:
        """Keys of the methods run under a condition, in the order of ``METHODS``."""
        there = {row.method for row in self.rows if Cell(row.split, row.counters) == cell}
        return tuple(key for key in METHODS if key in there)

    def runs(self, cell: Cell, method: str) -> list[Row]:
        """The rows of a method, one a seed; of branches alone those on their own rows."""
        rows = [row for row in self._at(cell, method) if row.branch is None]
        return sorted(rows, key=lambda row: row.seed)

    def average_precision(self, cell: Cell, method: str, basis: str = "pooled") -> Estimate | None:
        """Return it over seeds; ``None`` where it is unknown or was not run.

        Args:
            cell: The condition.
            method: A key of ``METHODS``.
            basis: A key of ``BASES``.
        """
        return estimate(list(self._by_seed(cell, method, basis).values()))

    def roc_auc(self, cell: Cell, method: str) -> Estimate | None:
        """Return the area under the ROC curve of the pooled rows, likewise."""
        found = self._of_pooled(cell, method, lambda row: row.evaluation.pooled.roc_auc)
        return estimate(list(found.values()))

    def figure(self, cell: Cell, method: str, of: Callable[[Row], float | None]) -> Estimate | None:
        """Return any figure of :meth:`runs` over the seeds that have it."""
        values = [of(row) for row in self.runs(cell, method)]
        return estimate([value for value in values if value is not None])

    def training(self, cell: Cell, method: str) -> Joules:
        """Energy of the training, all branches together, mean over seeds."""
        runs = self.runs(cell, method)
        return total(row.training for row in runs).per(len(runs))

    def per_thousand_scores(self, cell: Cell, method: str) -> Joules:
        """Energy of a thousand scores, mean over seeds."""
        runs = self.runs(cell, method)
        scored = sum(row.evaluation.pooled.rows for row in runs)
        return total(row.scoring for row in runs).per(scored / 1000)

    def per_caught_fraud(self, cell: Cell, method: str) -> Joules:
        """Energy of training once and scoring the held-out rows, over the frauds caught."""
        runs = self.runs(cell, method)
        used = total(row.training + row.scoring for row in runs)
        return used.per(sum(row.evaluation.alerts.caught for row in runs))

    def gap(self, cell: Cell, method: str, basis: str) -> Gap | None:
        """Say how much of the gap a method closes, on the seeds that all three have.

        Returns:
            ``None`` without branches alone, centralised trees, or the method.
        """
        alone, central, ours = (
            self._by_seed(cell, key, basis) for key in ("alone", "central", method)
        )
        seeds = sorted(alone.keys() & central.keys() & ours.keys())
        if not seeds:
            return None
        a, c, f = (fmean(one[seed] for seed in seeds) for one in (alone, central, ours))
        by_seed = tuple(_closed(alone[s], central[s], ours[s]) for s in seeds)
        return Gap(a, c, f, _closed(a, c, f), by_seed)

    def counters_gain(self, split: str, method: str, basis: str) -> Estimate | None:
        """Return average precision with shared counters minus with local ones, paired by seed."""
        shared, local = (
            self._by_seed(Cell(split, counters), method, basis) for counters in ("shared", "local")
        )
        return estimate([shared[s] - local[s] for s in sorted(shared.keys() & local.keys())])

    def subsampling(self, cell: Cell) -> Subsampling | None:
        """Compare centralised trees with and without it; ``None`` unless both were run."""
        some, every = (self._by_seed(cell, key, "pooled") for key in ("central", "central_all"))
        gain = estimate([some[s] - every[s] for s in sorted(some.keys() & every.keys())])
        if gain is None:
            return None
        ours, other = (self.training(cell, key) for key in ("central", "central_all"))
        if ours.both is None or not other.both or ours.kind != other.kind:
            return Subsampling(None, gain)
        return Subsampling(ours.both / other.both, gain)

    def unknown(self, cell: Cell) -> tuple[str, ...]:
        """Branches whose average precision is unknown with any seed: one class in their rows."""
        runs = [row for key in self.methods(cell) for row in self.runs(cell, key)]
        return tuple(sorted({name for row in runs for name in row.evaluation.unknown}))

    def to_json(self) -> str:
        """Return everything as JSON."""
        data = {"chosen": self.chosen, "rows": [asdict(row) for row in self.rows]}
        return json.dumps(data, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Comparison:
        """Read what :meth:`to_json` wrote.

        Raises:
            RunError: Not such a text.
        """
        try:
            data = json.loads(text)
            return cls(tuple(row_from(one) for one in data["rows"]), data["chosen"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(
                f"the comparison is damaged ({type(error).__name__}: {error}); run the pilot again"
            ) from error

    def _check_alone(self, whole: Row) -> None:
        same = [row for row in self.rows if row.identity[:4] == whole.identity[:4]]
        missing = set(whole.evaluation.branches) - {row.branch for row in same}
        if missing:
            raise RunError(f"{_words(whole)} lacks the row of branch {min(missing)!r} by itself")

    def _at(self, cell: Cell, method: str) -> list[Row]:
        return [
            row
            for row in self.rows
            if row.method == method and (row.split, row.counters) == tuple(cell)
        ]

    def _by_seed(self, cell: Cell, method: str, basis: str) -> dict[int, float]:
        if basis == "pooled":
            return self._of_pooled(cell, method, lambda r: r.evaluation.pooled.average_precision)
        found = {row.seed: row.evaluation.own_rows for row in self.runs(cell, method)}
        return {seed: value for seed, value in found.items() if value is not None}

    def _of_pooled(
        self, cell: Cell, method: str, of: Callable[[Row], float | None]
    ) -> dict[int, float]:
        """Return a figure of the pooled rows by seed: of branches alone the mean over models."""
        by_seed: dict[int, list[float]] = {}
        for row in sorted(self._at(cell, method), key=lambda row: row.seed):
            value = of(row)
            if value is not None and (row.branch is None) is (method != "alone"):
                by_seed.setdefault(row.seed, []).append(value)
        return {seed: fmean(values) for seed, values in by_seed.items()}


def _closed(alone: float, central: float, federated: float) -> float | None:
    return (federated - alone) / (central - alone) if central > alone else None


def _words(row: Row) -> str:
    who = f" of branch {row.branch!r}" if row.branch is not None else ""
    return f"{row.method}{who}, seed {row.seed}, {row.split} split, {row.counters} counters"
