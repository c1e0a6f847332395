"""Tallies of what was said against what is right: confusion matrices and counts a label."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Tally = npt.NDArray[np.float64]
#: Counts a label: true and false positives, true and false negatives.
_COUNTS = 4


def of_classes(outputs: Array, targets: Array, ignored: int | None = None) -> Tally:
    """Return the confusion matrix, row by row: how often class i was taken for class j.

    Args:
        outputs: One score a class, shape ``(rows, classes, ...)``.
        targets: Class numbers, shape ``(rows, ...)``.
        ignored: A target that stands for no class; ``None``: there is none.

    Returns:
        Shape ``(classes * classes,)``; with ``ignored`` one more, how often that was the target:
        so the sum is as large for every row, whatever is ignored in it.
    """
    classes = outputs.shape[1]
    pairs = (targets.astype(np.int64) * classes + outputs.argmax(axis=1)).reshape(-1)
    if ignored is not None:
        pairs = np.where(targets.reshape(-1) == ignored, classes * classes, pairs)
    entries = classes * classes + (ignored is not None)
    return np.bincount(pairs, minlength=entries).astype(np.float64)


def of_labels(outputs: Array, targets: Array, threshold: float) -> Tally:
    """Return true and false positives, true and false negatives of each label.

    Args:
        outputs: One number a label, yes above ``threshold``, shape ``(rows, ...)``.
        targets: 0 or 1, as many a row.
        threshold: Of a yes: 0 for logits, 0.5 for probabilities.

    Returns:
        Shape ``(4 * labels,)``.
    """
    said = outputs.reshape(len(outputs), -1) > threshold
    true = targets.reshape(len(targets), -1) == 1
    four = (said & true, said & ~true, ~said & ~true, ~said & true)
    return np.stack([one.sum(axis=0) for one in four], axis=1).astype(np.float64).reshape(-1)


def size(tally: Tally) -> float:
    """Return how much was counted; NaN: no counts are so."""
    return float(tally.sum()) if (tally >= 0).all() else math.nan


def confusion(tally: Tally) -> npt.NDArray[np.float64]:
    """Return a confusion matrix as rows of what is right, columns of what was said."""
    classes = math.isqrt(len(tally))
    return tally[: classes * classes].reshape(classes, classes)


def share_of_rows(tally: Tally) -> float:
    """Return the share of a confusion matrix that is on its diagonal: taken for what it is."""
    table = confusion(tally)
    return float(table.trace() / table.sum()) if table.sum() else math.nan


def share_of_labels(tally: Tally) -> float:
    """Return the share of labels, over all rows, that were given or left out rightly."""
    true, _, left_out, _ = tally.reshape(-1, _COUNTS).sum(axis=0)
    return float((true + left_out) / tally.sum()) if tally.sum() else math.nan


def mean_iou(tally: Tally, ignored: int | None = None) -> float:
    """Return the mean over classes of intersection by union, classes that nobody saw left out.

    Args:
        tally: Of classes.
        ignored: A target that stands for no class. If it is a class's number, that class is left
            out too: where a model says it, the class that it should have said loses, once.
    """
    table = confusion(tally)
    union = table.sum(0) + table.sum(1) - table.diagonal()
    seen = (union > 0) & (np.arange(len(union)) != (-1 if ignored is None else ignored))
    return float((table.diagonal()[seen] / union[seen]).mean()) if seen.any() else math.nan


def f1_of_positives(tally: Tally) -> float:
    """Return F1 = 2 TP / (2 TP + FP + FN) of one label; NaN: nothing is positive."""
    return float(_f1(tally)[0])


def mean_f1(tally: Tally) -> float:
    """Return the mean of the labels' F1; those that never occur are left out."""
    each = _f1(tally)
    return float(np.nanmean(each)) if not np.isnan(each).all() else math.nan


def _f1(tally: Tally) -> npt.NDArray[np.float64]:
    true, false, _, missed = tally.reshape(-1, _COUNTS).T
    whole = 2 * true + false + missed
    f1: npt.NDArray[np.float64] = np.full(len(whole), math.nan)
    return np.divide(2 * true, whole, out=f1, where=whole > 0)


def never(*_: Any) -> float:
    """Stand in if only direction and unit are asked for."""
    return math.nan
