"""Federated trees are as good as LightGBM on all rows in one place."""

import numpy as np
import pytest

from frugalfl.trees import (
    Forest,
    Grid,
    Grower,
    Growth,
    Reply,
    agree,
    decode_forest,
    encode_forest,
    sketch,
    total,
    total_sums,
)

pytest.importorskip("lightgbm")
metrics = pytest.importorskip("sklearn.metrics")

from frugalfl_client.trees import Worker, train  # noqa: E402

TREES = 20


@pytest.fixture(scope="module")
def bank():
    """Eight branches' binned rows and labels, of which 5 in 100 are positive; and rows to test."""
    from sklearn.datasets import make_classification

    x, y = make_classification(
        40_000, 12, n_informative=8, n_redundant=2, weights=[0.95], flip_y=0.01, random_state=4
    )  # fmt: skip
    x = x.astype(np.float32)
    train_x, test_x, train_y, test_y = x[:20_000], x[20_000:], y[:20_000], y[20_000:]
    of = np.random.default_rng(0).integers(0, 8, len(train_x))
    bins = agree([sketch(train_x[of == k]) for k in range(8)])
    parts = [(bins.of(train_x[of == k]), train_y[of == k]) for k in range(8)]
    base = float(np.log(train_y.mean() / (1 - train_y.mean())))
    return parts, base, bins, (bins.of(test_x), test_y)


def precision(forest, rows):
    """Return the average precision."""
    return float(metrics.average_precision_score(rows[1], forest.raw_scores(rows[0])))


@pytest.fixture(scope="module")
def central(bank):
    """Average precision of LightGBM on all rows."""
    parts, base, _, test = bank
    binned, y = (np.concatenate(column) for column in zip(*parts, strict=True))
    new = train(binned, y, np.full(len(y), base), Growth(), TREES, seed=0)
    return precision(Forest(base) + new, test)


def test_histogram_aggregation_equals_lightgbm_on_all_rows(bank, central):
    parts, base, bins, test = bank
    grid, first, branches = Grid(bins.counts), 0, []
    for binned, y in parts:
        keys = np.arange(first, first + len(y), dtype=np.uint64)
        branches.append(Worker(binned, y, grid, keys))
        first += len(y)
    grower, sent, trips = Grower(grid, Growth(), TREES, Forest(base)), 0, 0
    while not grower.finished:
        asked = grower.request()
        replies = [branch.answer(asked.to_bytes()) for branch in branches]
        sent += sum(map(len, replies))
        grower.take(
            total_sums([Reply.from_bytes(r, len(asked.wanted), grid).sums for r in replies])
        )
        trips += 1
    assert abs(precision(grower.forest, test) - central) < 0.003
    assert trips < 16 * TREES
    assert sent < 40_000 * TREES * len(branches)


def test_bagging_closes_most_of_the_gap_to_all_rows(bank, central):
    parts, base, bins, test = bank
    alone = [
        precision(
            Forest(base) + train(*part, np.full(len(part[1]), base), Growth(), TREES, 0), test
        )
        for part in parts
    ]
    model, sent = Forest(base), 0
    rows = sum(len(y) for _, y in parts)
    for seed in range(3):
        frames = [
            encode_forest(train(b, y, model.raw_scores(b), Growth(), TREES // 3, seed))
            for b, y in parts
        ]
        sent += sum(map(len, frames))
        new = [decode_forest(frame, len(bins), TREES) for frame in frames]
        model += total(new, [len(y) / rows for _, y in parts])
    assert precision(model, test) > np.mean(alone) + 0.5 * (central - np.mean(alone))
    assert sent < 100 * 8 * TREES
