"""Trees from sums of histograms: the same trees as from the pooled rows, in fewer round trips."""

import zlib

import numpy as np
import pytest
from mutations import damaged

from frugalfl.errors import FrameError, UsageError
from frugalfl.trees import (
    Forest,
    Grid,
    Grower,
    Growth,
    Histograms,
    Reply,
    Request,
    Sums,
    agree,
    encode_forest,
    sketch,
    total_sums,
)
from frugalfl.trees.grow import find_split
from frugalfl.trees.histogram import MAX_BITS, MAX_ROWS, Split
from frugalfl_client.trees import Worker


@pytest.fixture(scope="module")
def rows():
    """Binned rows of which 1 in 20 is positive, by a rule with noise, and how many bins."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(9000, 6)).astype(np.float32)
    x[:, 5] = x[:, 5] > 1
    y = (x[:, 0] + x[:, 1] * x[:, 2] + x[:, 5] + rng.normal(size=9000) > 3.3).astype(np.int64)
    bins = agree([sketch(x)], 32)
    return bins.of(x), y, bins.counts, np.arange(9000, dtype=np.uint64)


def workers(rows, branches, grid):
    binned, y, _, keys = rows
    of = np.random.default_rng(1).choice(
        branches, len(y), p=np.arange(1, branches + 1) / sum(range(branches + 1))
    )
    return [Worker(binned[of == k], y[of == k], grid, keys[of == k]) for k in range(branches)]


def grow(grower, branches):
    """Return the forest, and how many requests it took."""
    trips = 0
    while not grower.finished:
        request = grower.request()
        replies = [branch.answer(request.to_bytes()) for branch in branches]
        read = [Reply.from_bytes(r, len(request.wanted), grower.grid) for r in replies]
        grower.take(total_sums([reply.sums for reply in read]))
        trips += 1
    return grower.forest, trips


@pytest.mark.parametrize("bits", [4, 8, MAX_BITS])
def test_eight_branches_grow_the_trees_of_the_pooled_rows(rows, bits):
    grid = Grid(rows[2], bits)
    forests = [
        grow(Grower(grid, Growth(leaves=15), 4, Forest(-3.0)), workers(rows, n, grid))[0]
        for n in (8, 1)
    ]
    assert encode_forest(forests[0]) == encode_forest(forests[1])
    assert len(forests[0]) == 4 and forests[0].base == -3.0
    loss = [
        logistic_loss(forest.raw_scores(rows[0]), rows[1]) for forest in (Forest(-3.0), forests[0])
    ]
    assert loss[1] < 0.95 * loss[0]


def logistic_loss(scores, y):
    return np.logaddexp(0, scores).mean() - (scores * y).mean()


class OneAtATime(Grower):
    """Asks for the children of the best leaf alone, as it is described in the literature."""

    def _part(self, number):
        return super()._part(number)

    def _order(self):
        order = super()._order()
        unknown = [i for i, node in enumerate(order) if self._nodes[node].split is None]
        return order[: unknown[0] + 1] if unknown else order


def test_asking_ahead_gives_the_same_trees_in_fewer_round_trips(rows):
    grid = Grid(rows[2])
    slow, many = grow(OneAtATime(grid, Growth(), 3, Forest(-3.0)), workers(rows, 2, grid))
    fast, few = grow(Grower(grid, Growth(), 3, Forest(-3.0)), workers(rows, 2, grid))
    assert encode_forest(slow) == encode_forest(fast)
    assert many == 3 * 31 and few <= many / 2


def test_sums_are_of_the_rows_that_the_splits_send_there(rows):
    binned, y, counts, keys = rows
    grid = Grid(counts, MAX_BITS)
    splits = (Split(0, 0, 15), Split(2, 5, 0), Split(1, 3, 8))
    sums = Histograms(binned, y, grid, keys).of(splits, [3, 6])
    here = (binned[:, 0] > 15) & (binned[:, 5] == 0)
    assert sums.rows.tolist() == [here.sum(), ((binned[:, 0] <= 15) & (binned[:, 3] > 8)).sum()]
    gradient = 0.5 - y[here]
    assert sums.totals[0].tolist() == [gradient.sum() * 2**20, here.sum() * 0.25 * 2**20]
    cells = np.bincount(binned[here, 1], minlength=32)
    np.testing.assert_array_equal(sums.cells[0, 1, :, 1], cells * 2**14)
    signed = np.bincount(binned[here, 1], gradient, 32)
    np.testing.assert_array_equal(sums.cells[0, 1].sum(axis=1), signed * 2**16)


def test_rounding_is_unbiased(rows):
    binned, y, counts, keys = rows
    exact = Histograms(binned, y, Grid(counts, MAX_BITS), keys)
    exact.move_to(Forest(-4.3))
    truth = exact.of((), (0,)).cells[0] / 2**MAX_BITS
    found = []
    for seed in range(60):
        coarse = Histograms(binned, y, Grid(counts, 3, seed), keys)
        coarse.move_to(Forest(-4.3))
        found.append(coarse.of((), (0,)).cells[0] / 8)
    error = np.mean(found, axis=0) - truth
    noise = np.std(found, axis=0) / np.sqrt(60)
    live = noise > 0
    assert live.sum() > 50 and np.abs(error[live] / noise[live]).max() < 5
    assert abs((error[live] / noise[live]).mean()) < 0.5


def test_a_branch_that_was_restarted_or_knows_other_trees_catches_up(rows):
    grid = Grid(rows[2])
    grower, (branch, other) = (
        Grower(grid, Growth(leaves=8), 3, Forest(-3.0)),
        workers(rows, 2, grid),
    )
    trips = 0
    while not grower.finished:
        request = grower.request()
        answer = branch.answer(request.to_bytes())
        # Another process of the same branch, which never saw a request.
        fresh = workers(rows, 2, grid)[0]
        late = Reply.from_bytes(fresh.answer(request.to_bytes()), len(request.wanted), grid)
        assert (late.sums is None) == (request.held > 0)
        assert fresh.answer(grower.request(held=0).to_bytes()) == answer
        sums = [
            Reply.from_bytes(r, len(request.wanted), grid).sums
            for r in (answer, other.answer(request.to_bytes()))
        ]
        grower.take(total_sums(sums))
        trips += 1
    assert trips > 6
    # A branch with as many trees, but others: it does not answer on top of them.
    grow(Grower(grid, Growth(leaves=4), 3, Forest(-1.0)), [branch])
    request = Grower(grid, Growth(), 9, grower.forest).request(held=3)
    assert Reply.from_bytes(branch.answer(request.to_bytes()), 1, grid).sums is None


def test_a_tree_is_begun_again_without_a_branch_that_was_lost(rows):
    grid, params = Grid(rows[2]), Growth(leaves=8)
    one, other = workers(rows, 2, grid)
    grower = Grower(grid, params, 1, Forest(-3.0))
    for _ in range(2):
        request = grower.request().to_bytes()
        both = [
            Reply.from_bytes(b.answer(request), len(grower.wanted), grid).sums for b in (one, other)
        ]
        grower.take(total_sums(both))
    grower.restart()
    alone = grow(Grower(grid, params, 1, Forest(-3.0)), workers(rows, 2, grid)[:1])[0]
    assert encode_forest(grow(grower, [one])[0]) == encode_forest(alone)


@pytest.mark.parametrize("label", [0, 1])
def test_branches_of_one_class_or_of_no_rows_take_part(rows, label):
    binned, y, counts, keys = rows
    grid = Grid(counts)
    alike = y == label
    branches = [
        Worker(binned[alike], y[alike], grid, keys[alike]),
        Worker(binned[~alike], y[~alike], grid, keys[~alike]),
        Worker(binned[:0], y[:0], grid, keys[:0]),
    ]
    forest, _ = grow(Grower(grid, Growth(), 2, Forest(-3.0)), branches)
    pooled, _ = grow(Grower(grid, Growth(), 2, Forest(-3.0)), [Worker(binned, y, grid, keys)])
    assert encode_forest(forest) == encode_forest(pooled)
    constant, _ = grow(Grower(grid, Growth(), 2, Forest(0.0)), branches[2:])
    assert [tree.leaves for tree in constant.trees] == [1, 1]


def test_leaves_keep_their_least_rows_and_largest_step(rows):
    binned, y, counts, keys = rows
    params = Growth(leaves=31, min_rows_in_leaf=300, l2=0.0, max_step=2.0, learning_rate=0.5)
    forest, _ = grow(
        Grower(Grid(counts), params, 1, Forest(0.0)), [Worker(binned, y, Grid(counts), keys)]
    )
    tree = forest.trees[0]
    # At score 0 all hessians are equal, so that the estimate of rows is right.
    leaf = Forest(
        0.0,
        (
            type(tree)(
                tree.feature,
                tree.bin,
                tree.left,
                tree.right,
                np.arange(tree.leaves, dtype=np.float32),
            ),
        ),
    ).raw_scores(binned)
    assert 2 < tree.leaves < 31 and np.bincount(leaf.astype(int)).min() >= 300
    assert np.abs(tree.value).max() <= 1.0


def test_ties_are_broken_as_lightgbm_does():
    counts = (4, 4)
    cells = np.zeros((1, 2, 4, 2), np.int64)
    cells[0, :, 0] = 0, 400
    cells[0, :, 3] = -1200, 400
    sums = Sums(np.array([800]), np.array([[0, 0]]), cells)
    best = find_split(sums, Grid(counts, 2), Growth())
    assert (best.feature, best.bin) == (0, 2)


def test_no_sum_overflows_at_the_largest_bounds():
    """Every row in one bin, with the largest gradient, of as many rows as are accepted."""
    grid = Grid((2,), MAX_BITS)
    most = np.array([MAX_ROWS], np.int64)
    cell = -(MAX_ROWS << MAX_BITS), MAX_ROWS << MAX_BITS - 2
    cells = np.zeros((1, 1, 2, 2), np.int64)
    cells[0, 0, 0] = cell
    sums = Sums(most, np.array([[-(MAX_ROWS << 20), MAX_ROWS << 18]]), cells)
    back = Reply.from_bytes(Reply(0, sums).to_bytes(grid), 1, grid).sums
    np.testing.assert_array_equal(back.cells, cells)
    np.testing.assert_array_equal(back.totals, sums.totals)
    assert np.abs(cells).max() < 2**53 and np.abs(sums.totals).max() < 2**53
    with pytest.raises(FrameError, match="rows together"):
        total_sums([sums, sums])
    with pytest.raises(FrameError):
        Reply.from_bytes(Reply(0, Sums(most + 1, sums.totals, cells)).to_bytes(grid), 1, grid)


def lies(sums):
    """Yield sums that no rows have."""
    for change in ("hessian", "gradient", "negative", "total", "rows", "uneven"):
        rows, totals, cells = sums.rows.copy(), sums.totals.copy(), sums.cells.copy()
        if change == "hessian":
            cells[:, :, 0, 1] += 1 << 40
        elif change == "gradient":
            cells[:, :, 0, 0] -= 1 << 40
        elif change == "negative":
            cells[:, :, 0, 1] -= 1 << 20
        elif change == "total":
            totals[:, 0] = 1 << 50
        elif change == "rows":
            rows[:] = 1
        else:
            cells[:, 0, 0, 1] += 1
        yield change, Sums(rows, totals, cells)


def test_sums_that_no_rows_have_are_refused(rows):
    grid = Grid(rows[2])
    honest = Histograms(*rows[:2], grid, rows[3]).of((), (0,))
    for change, wrong in lies(honest):
        with pytest.raises(FrameError):
            Reply.from_bytes(Reply(0, wrong).to_bytes(grid), 1, grid)
            pytest.fail(change)
    whole = Reply(0, honest).to_bytes(grid)
    for nodes, other in ((2, grid), (0, grid), (1, Grid(rows[2][:5])), (1, Grid((*rows[2], 4)))):
        with pytest.raises(FrameError):
            Reply.from_bytes(whole, nodes, other)


def test_damaged_messages_are_refused_as_such(rows):
    grid, rng = Grid(rows[2]), np.random.default_rng(0)
    grower, branches = Grower(grid, Growth(leaves=8), 2, Forest(-3.0)), workers(rows, 2, grid)
    while len(grower.forest) < 1 or len(grower.splits) < 3:
        asked = grower.request()
        replies = [branch.answer(asked.to_bytes()) for branch in branches]
        grower.take(
            total_sums([Reply.from_bytes(r, len(asked.wanted), grid).sums for r in replies])
        )
    request, reply = grower.request().to_bytes(), branches[0].answer(grower.request().to_bytes())
    wanted = len(grower.wanted)
    for data, read in (
        (request, lambda data: Request.from_bytes(data, grid)),
        (reply, lambda data: Reply.from_bytes(data, wanted, grid)),
        (request, branches[0].answer),
    ):
        for _ in range(60):
            with pytest.raises(FrameError):
                read(damaged(data, rng))
            body = damaged(data[:-4], rng)
            try:
                read(body + zlib.crc32(body).to_bytes(4, "little"))
            except FrameError:
                continue
    assert branches[0].answer(request) == reply


@pytest.mark.parametrize(
    ("splits", "wanted"),
    [
        ([Split(1, 0, 0)], []), ([Split(0, 0, 0), Split(0, 1, 0)], []), ([Split(0, 9, 0)], []),
        ([Split(0, 0, 31)], []), ([], [1]), ([], [0, 0]), ([Split(0, 0, 0)], [0]),
        ([Split(0, 0, 0)], [3]), ([Split(0, 0, 0)], [-1]),
    ],
)  # fmt: skip
def test_splits_that_no_tree_has_are_refused(rows, splits, wanted):
    with pytest.raises(FrameError):
        Histograms(*rows[:2], Grid(rows[2]), rows[3]).of(splits, wanted)


def test_rows_that_were_binned_otherwise_are_named(rows):
    binned, y, counts, keys = rows
    with pytest.raises(UsageError, match="not agreed"):
        Histograms(binned, y, Grid((2, *counts[1:])), keys)
    with pytest.raises(UsageError, match="labels"):
        Histograms(binned, y + 1, Grid(counts), keys)
    with pytest.raises(UsageError, match="6 bins"):
        Histograms(binned[:, :5], y, Grid(counts), keys)
