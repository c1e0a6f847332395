"""One liar of five: the others reach what they reach without it, and read who it is."""

import pytest
from attacking.rare import LIAR
from attacking.trees_and_counters import ATTACKS, MOST_LOST, exchanges_of, run_of, tried

pytest.importorskip("lightgbm")

#: What trees of usual size say of few rows cannot be told from an honest opinion, nor silence about
#: trees from a branch of one class, nor rows that nobody else sees from rows that are there; a
#: second answer is dropped. None of them is named, and none may cost anything.
UNNAMED = {
    "leaves flipped from step 2", "no trees", "9 times the rows, honest otherwise",
    "each answer twice",
}  # fmt: skip
#: One lie of each kind; the others take minutes.
SHORT = {
    "bagging": ("labels inverted, 9 times the rows", "leaves all at the largest step"),
    "refit": ("2^31 rows claimed, labels inverted", "sums times 100"),
    "histogram": ("rows of 2^31 in each node",),
}
EVERY = [
    pytest.param(way, name, marks=() if name in SHORT[way] else pytest.mark.slow)
    for way, known in ATTACKS.items()
    for name in known
]


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """The runs of the honest four, made when they are first asked for."""
    made = {}

    def run(way):
        if way not in made:
            made[way] = run_of(tmp_path_factory.mktemp(way), way, LIAR)
        return made[way]

    return run


@pytest.mark.parametrize(("way", "name"), EVERY)
def test_a_liar_costs_the_others_nothing_and_is_named(way, name, four, tmp_path):
    result = tried(tmp_path, way, ATTACKS[way][name], four(way))
    assert result.lost <= MOST_LOST
    assert result.more <= max(4, exchanges_of(four(way)) // 10)
    if name not in UNNAMED:
        assert f"node {1000 + LIAR}" in result.line and len(result.line) < 400
