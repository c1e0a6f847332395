"""What is typed for a sweep, and what is made of it before anything runs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalfl.errors import UsageError
from frugalfl_sim.sweep.figures import Group, Spread, mean_of, pareto
from frugalfl_sim.sweep.grid import read_axis, read_grid
from frugalfl_sim.sweep.points import points_of
from frugalfl_sim.sweep.space import Span, read_space

APP = """
[project]
name = "mine"
version = "0.1.0"
[tool.flwr.app]
publisher = "me"
[tool.flwr.app.config]
task = "task:task"
"""


@pytest.fixture
def app(tmp_path):
    (tmp_path / "pyproject.toml").write_text(APP)
    return tmp_path


VALUE = st.recursive(
    st.from_regex(r"[a-z][a-z0-9 |%]{0,6}", fullmatch=True).map(str.strip),
    lambda inner: st.lists(inner, min_size=1, max_size=3).map(lambda x: f"f({', '.join(x)})"),
)


@given(values=st.lists(VALUE, min_size=1, max_size=5, unique=True))
def test_commas_in_brackets_separate_nothing(values):
    assert read_axis(f"uplink={','.join(values)}") == ("uplink", values)


@given(texts=st.lists(st.text("ab,()|", max_size=6), min_size=1, max_size=4, unique=True))
def test_in_quotes_anything_goes(texts):
    quoted = [f'"{text}"' for text in texts]
    assert read_axis(f"initial={','.join(quoted)}")[1] == quoted


@given(first=st.integers(-50, 50), count=st.integers(1, 40), step=st.integers(1, 7))
def test_a_range_has_both_its_ends(first, count, step):
    last = first + (count - 1) * step
    numbers = [int(one) for one in read_axis(f"seed={first}..{last}..{step}")[1]]
    assert numbers == list(range(first, last + 1, step))
    assert numbers[0] == first and numbers[-1] == last


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_a_grid_has_every_combination_once(sizes):
    keys = [f"key{place}" for place in range(len(sizes))]
    grid = read_grid([f"{key}=1..{size}" for key, size in zip(keys, sizes, strict=True)])
    expected = 1
    for size in sizes:
        expected *= size
    assert len(set(grid)) == len(grid) == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["seed"], "not of the form"),
        (["seed=5..1"], "1..5"),
        (["seed=1..9..0"], "holds no number"),
        (["seed=1,,2"], "empty value"),
        (["seed=1,1"], "twice"),
        (["seed=1", "seed=2"], "given twice"),
        (["uplink=topk(1%"], "not closed"),
        (["seed=1..999999999"], "more than"),
        (["seed=1..200", "rounds=1..200"], "more than"),
    ],
)
def test_slips_are_told(words, said):
    with pytest.raises(UsageError, match=said):
        read_grid(words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sed=1..3"], "did you mean 'seed'"),
        (["seed=1,x"], "takes a whole number"),
        (["batch-size=16,0"], "batch-size=0"),
        (["learning-rate=0.1,0.10"], "the same settings"),
        (["rounds=3", "round-deadline=0,9"], "round-deadline=9: .*nothing was run"),
        (["clients=4,8", "asynchronous=fedbuff(6)"], "clients=4"),
    ],
)
def test_every_combination_is_checked_first(app, words, said):
    with pytest.raises(UsageError, match=said):
        points_of(app, read_grid(words))


def test_a_longer_grid_keeps_the_folders_of_a_shorter_one(app):
    short = points_of(app, read_grid(["seed=1,2"]))
    long = points_of(app, read_grid(["seed=1..3", "momentum=0.5,0.6"]))
    kept = points_of(app, read_grid(["seed=1..4"]))
    assert [one.name for one in kept[:2]] == [one.name for one in short]
    assert len({one.name for one in [*long, *kept]}) == 10


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_what_is_not_beaten_is_not_beaten(points):
    groups = [
        Group((), 1, 0, {"value": Spread(v, v, v), "bytes": Spread(c, c, c)}) for v, c in points
    ]
    front = pareto(groups, lambda group: mean_of(group, "bytes"), "higher")

    def beaten(one):
        v, c = points[one]
        return any(w >= v and d <= c and (w, d) != (v, c) for w, d in points)

    assert not any(map(beaten, front))
    assert {points[one] for one in front} == {
        points[one] for one in range(len(points)) if not beaten(one)
    }


def test_a_space_of_spans_lists_and_single_values():
    space = read_space(
        ["learning-rate=1e-3..0.3:log", "local-epochs=1..8", "momentum=0,0.9", "rounds=5"]
    )
    assert space.free == {
        "learning-rate": Span(0.001, 0.3, False, True),
        "local-epochs": Span(1, 8, True, False),
        "momentum": ("0", "0.9"),
    }
    assert space.fixed == (("rounds", "5"),)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["learning-rat=0.1..1"], "did you mean 'learning-rate'"),
        (["learning-rate=0.3..0.1"], "smaller end"),
        (["learning-rate=0..0.1:log"], "above 0"),
        (["local-epochs=1.5..3"], "whole numbers"),
        (["rounds=5"], "nothing to choose"),
        (["seed=1..5", "momentum=0..0.9"], "luck"),
        (["momentum=a..b"], "no span"),
    ],
)
def test_slips_in_a_space_are_told(words, said):
    with pytest.raises(UsageError, match=said):
        read_space(words)
