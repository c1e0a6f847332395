"""What clients measured adds up to what all rows together give, and to no more than there can be."""

import numpy as np
import pytest

from frugalfl.kinds import KINDS, Scoring
from frugalfl_server.rounds.client_scores import ClientScores


def told(kind, outputs, targets, *lies):
    """Return the scores of rows that three clients share, and of what liars say."""
    scores, parts = ClientScores(), np.array_split(np.arange(len(targets)), [7, 20])
    for part in parts:
        tally = KINDS[kind].tally(outputs[part], targets[part])
        scores.note(None, tuple(tally.tolist()), len(part), 1000)
    for tally, scored, most in lies:
        scores.note(None, tally, scored, most)
    return scores.scores(Scoring(KINDS[kind], {}))


@pytest.mark.parametrize("kind", ["binary", "regression", "multi-label"])
def test_sums_of_clients_are_those_of_all_rows(kind):
    rng = np.random.default_rng(0)
    width = 3 if kind == "multi-label" else 1
    outputs = rng.normal(size=(40, width)).astype(np.float32)
    targets = (rng.normal(size=(40, width)) > 0).astype(np.float32)
    pooled = Scoring(KINDS[kind], {}).score(outputs, targets)
    together = told(kind, outputs, targets)
    assert together.accuracy == pytest.approx(pooled.accuracy)
    for name in KINDS[kind].measures:
        assert together.metrics[name] == pytest.approx(pooled.metrics[name])


def test_sums_that_cannot_be_are_left_out():
    rng = np.random.default_rng(1)
    outputs, targets = rng.normal(size=(40, 1)), (rng.normal(size=(40, 1)) > 0).astype(float)
    honest = told("binary", outputs, targets)
    lies = [
        ((9.0, -5.0, 0.0, 0.0), 4, 1000),  # less than nothing
        ((1e12, 0.0, 0.0, 0.0), 10, 1000),  # more than a label a row
        ((1.0, 0.0, 0.0), 1, 1000),  # another length
    ]
    assert told("binary", outputs, targets, *lies) == honest
    many = told("binary", outputs, targets, ((1e9, 0.0, 0.0, 0.0), 10**9, 40))  # as many as it has
    assert many.accuracy == pytest.approx((honest.accuracy * 40 + 40) / 80)
