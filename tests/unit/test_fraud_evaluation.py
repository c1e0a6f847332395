"""What is measured of a model's scores, and what is unknown."""

import numpy as np
import pytest
from fraud_comparison import BRANCHES, held_out, logits
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    precision_recall_curve,
    roc_auc_score,
)

from frugalfl.errors import TaskError
from frugalfl_sim.rare_cases.calibration import BINS, calibration, probabilities
from frugalfl_sim.rare_cases.evaluation import HeldOut, evaluate, precision_recall


def small(y, branch=None, branches=("only",)) -> HeldOut:
    n = len(y)
    return HeldOut(
        np.array(y, dtype=np.int8), np.arange(n), np.arange(n), np.ones(n),
        np.zeros(n, dtype=np.int64) if branch is None else np.array(branch), branches,
    )  # fmt: skip


def test_pooled_and_branches_agree_with_scikit_learn():
    rows = held_out(3)
    scores = logits(rows, 2.0, 4)
    found = evaluate(rows, scores)
    every = [(found.pooled, slice(None))]
    every += [(found.branches[name], rows.branch == i) for i, name in enumerate(BRANCHES)]
    for quality, where in every:
        y, own = rows.y[where], scores[where]
        assert (quality.rows, quality.frauds) == (len(y), y.sum())
        assert quality.average_precision == pytest.approx(average_precision_score(y, own))
        assert quality.roc_auc == pytest.approx(roc_auc_score(y, own))
        assert quality.brier == pytest.approx(brier_score_loss(y, probabilities(own)))
    known = [one.average_precision for one in found.branches.values()]
    assert found.own_rows == pytest.approx(np.mean(known))


def test_a_branch_without_frauds_is_unknown_and_named_and_left_out_of_the_mean():
    rows = small([0, 1, 0, 0], branch=[0, 0, 1, 1], branches=("some", "none", "absent"))
    found = evaluate(rows, np.array([2.0, 1.0, 0.0, 0.5]))
    assert found.branches["none"].average_precision is None
    assert found.branches["none"].roc_auc is None
    assert found.unknown == ("none",)
    assert found.own_rows == found.branches["some"].average_precision == 0.5
    assert "absent" not in found.branches


def test_without_any_fraud_everything_of_ranking_is_unknown():
    found = evaluate(small([0, 0]), np.array([1.0, 2.0]))
    assert (found.pooled.average_precision, found.own_rows) == (None, None)
    assert found.precision_recall == ()
    assert (found.alerts.frauds, found.alerts.precision) == (0, 0.0)


def test_points_of_the_curve_lie_on_scikit_learns():
    rows = held_out(5)
    scores = logits(rows, 1.5, 6).round(1)  # with ties
    precision, recall, _ = precision_recall_curve(rows.y, scores)
    exact = np.c_[recall, precision]
    points = np.array(precision_recall(rows.y * 0 + scores, rows.y, points=30))
    assert 20 < len(points) <= 30
    assert np.diff(points[:, 0]).min() > 0
    for point in points:
        assert np.abs(exact - point).max(axis=1).min() < 1e-5


def test_calibration_error_is_that_of_equal_bins_where_nothing_ties():
    rng = np.random.default_rng(1)
    scores, y = rng.normal(-2, 2, 50 * BINS), (rng.random(50 * BINS) < 0.3).astype(np.int8)
    observed, predicted = calibration_curve(
        y, probabilities(scores), n_bins=BINS, strategy="quantile"
    )
    assert calibration(scores, y).error == pytest.approx(np.abs(observed - predicted).mean())


@pytest.mark.parametrize(
    ("y", "error"), [([0, 1] * 50, 0.0), ([0] * 50 + [1] * 50, 0.0), ([1] * 100, 0.5)]
)
def test_rows_of_one_score_are_one_bin_however_they_are_sorted(y, error):
    found = calibration(np.zeros(100), np.array(y, dtype=np.int8))
    assert found.error == pytest.approx(error)
    assert found.predicted_rate == 0.5
    assert all(point == (0.5, np.mean(y)) for point in found.reliability)


def test_true_probabilities_are_on_the_diagonal_and_doubled_odds_below_it():
    rng = np.random.default_rng(2)
    scores = rng.normal(-4, 1.5, 200_000)
    y = (rng.random(len(scores)) < probabilities(scores)).astype(np.int8)
    for predicted, observed in calibration(scores, y).reliability:
        assert observed == pytest.approx(predicted, rel=0.25)
    assert calibration(scores, y).error < 0.002
    shifted = calibration(scores + np.log(2), y)
    assert all(observed < predicted for predicted, observed in shifted.reliability)
    assert shifted.error > 0.01


def test_infinite_scores_are_certain():
    found = evaluate(small([0, 1, 1]), np.array([-np.inf, np.inf, np.inf]))
    assert (found.pooled.average_precision, found.pooled.brier) == (1.0, 0.0)
    certain = calibration(np.full(3, -np.inf), np.array([0, 0, 1], dtype=np.int8))
    assert certain.reliability == ()
    assert certain.error == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"y": np.zeros(0, dtype=np.int8)}, "no held-out rows"),
        ({"amount": np.ones(3)}, r"amount has shape \(3,\)"),
        ({"y": np.array([0, 2], dtype=np.int8)}, r"labels are \[0, 2\]"),
        ({"branch": np.array([0, 1])}, "run from 0 to 1, but 1 are named"),
        ({"earlier_card": np.array([1])}, "1 cards but 0 times"),
    ],
)
def test_rows_that_cannot_be_are_refused(change, says):
    columns = {
        "y": np.array([0, 1], dtype=np.int8), "time": np.arange(2), "card": np.arange(2),
        "amount": np.ones(2), "branch": np.zeros(2, dtype=np.int64), "branches": ("only",),
    }  # fmt: skip
    with pytest.raises(TaskError, match=says):
        HeldOut(**(columns | change))


def test_scores_that_cannot_be_are_refused():
    with pytest.raises(TaskError, match="1 of 2 scores are NaN"):
        evaluate(small([0, 1]), np.array([0.0, np.nan]))
    with pytest.raises(TaskError, match=r"scores have shape \(3,\)"):
        evaluate(small([0, 1]), np.zeros(3))
