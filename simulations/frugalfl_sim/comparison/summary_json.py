"""The figures of a comparison by name, as ``summary.json`` has them."""

from __future__ import annotations

from typing import Any

from frugalfl_sim.comparison.comparison import BASES, Cell, Comparison
from frugalfl_sim.comparison.estimates import Estimate
from frugalfl_sim.comparison.rows import METHODS


def summary(comparison: Comparison) -> dict[str, Any]:
    """Return the figures of the headline's condition, and then those of every condition.

    Each is a mean over seeds by method; what is unknown, or was not run, is null. ``gap_closed``
    is given on both bases; joules are measured and estimated, apart.
    """
    splits = dict.fromkeys(cell.split for cell in comparison.cells)
    return {
        "headline": {**comparison.headline._asdict(), "method": comparison.chosen},
        "seeds": list(comparison.seeds),
        "bases": BASES,
        **_of_cell(comparison, comparison.headline),
        "counters_gain": {split: _gains(comparison, split) for split in splits},
        "conditions": [
            {**cell._asdict(), **_of_cell(comparison, cell)} for cell in comparison.cells
        ],
    }


def _gains(comparison: Comparison, split: str) -> dict[str, dict[str, float | None]]:
    gains = {
        key: {basis: _mean(comparison.counters_gain(split, key, basis)) for basis in BASES}
        for key in METHODS
    }
    return {key: one for key, one in gains.items() if any(v is not None for v in one.values())}


def _of_cell(comparison: Comparison, cell: Cell) -> dict[str, Any]:
    methods = comparison.methods(cell)
    by_method = {key: _of_method(comparison, cell, key) for key in methods}
    names = by_method[methods[0]]
    subsampling = comparison.subsampling(cell)
    return {
        **{name: {key: by_method[key][name] for key in methods} for name in names},
        "gap_closed": {
            key: {basis: _closed(comparison, cell, key, basis) for basis in BASES}
            for key in methods
            if METHODS[key].federated
        },
        "subsampling": subsampling
        and {"energy_share": subsampling.energy_share, "gain": subsampling.gain.mean},
        "branches_of_one_class": list(comparison.unknown(cell)),
    }


def _of_method(comparison: Comparison, cell: Cell, key: str) -> dict[str, Any]:
    pooled = comparison.average_precision(cell, key)

    def mean(of: Any) -> float | None:
        return _mean(comparison.figure(cell, key, of))

    def whole(of: Any) -> int | None:
        value = mean(of)
        return None if value is None else round(value)

    return {
        "average_precision": _mean(pooled),
        "average_precision_half_width_95": None if pooled is None else pooled.half_width,
        "average_precision_own_rows": _mean(comparison.average_precision(cell, key, "own_rows")),
        "roc_auc": _mean(comparison.roc_auc(cell, key)),
        "card_precision": mean(lambda row: row.evaluation.alerts.precision),
        "brier": mean(lambda row: row.evaluation.pooled.brier),
        "calibration_error": mean(lambda row: row.evaluation.pooled.calibration_error),
        "caught_frauds": whole(lambda row: row.evaluation.alerts.caught),
        "caught_amount": mean(lambda row: row.evaluation.alerts.caught_amount),
        "uplink_bytes": whole(lambda row: row.uplink_bytes),
        "downlink_bytes": whole(lambda row: row.downlink_bytes),
        "rounds": whole(lambda row: row.rounds),
        "energy_j": comparison.training(cell, key).sums(),
        "energy_j_per_thousand_scores": comparison.per_thousand_scores(cell, key).sums(),
        "energy_j_per_caught_fraud": comparison.per_caught_fraud(cell, key).sums(),
        "models": {"bytes": whole(lambda row: row.model_bytes)},
    }


def _closed(comparison: Comparison, cell: Cell, key: str, basis: str) -> float | None:
    gap = comparison.gap(cell, key, basis)
    return None if gap is None else gap.closed


def _mean(value: Estimate | None) -> float | None:
    return None if value is None else value.mean
