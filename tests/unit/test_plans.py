"""Which blocks a plan names, round by round and client by client."""

from collections import Counter
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalfl.blocks import Layout
from frugalfl.errors import UsageError
from frugalfl.plans import PlanContext, parse_plan

SIZES = {"conv": 10, "bn.a": 30, "bn.b": 20, "dense": 600, "head": 40}
FIVE = Layout.of({f"{name}.weight": np.zeros(size, np.float32) for name, size in SIZES.items()})


def rounds(text, count, **known):
    plan = parse_plan(text)
    plan.check(FIVE)
    return [plan.choose(PlanContext(number, FIVE, **known)) for number in range(1, count + 1)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("full", [(0, 1, 2, 3, 4)] * 3),
        ("last(2)", [(3, 4)] * 3),
        ("frozen(dense)", [(0, 1, 2, 4)] * 3),
        ("frozen(conv, bn.*)", [(3, 4)] * 3),
        ("frozen([cd]*)", [(1, 2, 4)] * 3),
        ("alternate(full, last(1))", [(0, 1, 2, 3, 4), (4,), (0, 1, 2, 3, 4)]),
        ("cyclic", [(0,), (1,), (2,), (3,), (4,), (0,)]),
        ("cyclic(2)", [(0, 1), (2, 3), (0, 4), (1, 2), (3, 4), (0, 1)]),
        ("alternate(full, cyclic)", [(0, 1, 2, 3, 4), (0,), (0, 1, 2, 3, 4), (1,)]),
        ("by-link(full, lora, last(1))", [(0, 1, 2, 3, 4)] * 2),
    ],
)
def test_plans(text, expected):
    assert rounds(text, len(expected)) == expected


def test_every_block_has_its_turn_inside_alternate():
    four = Layout.of({f"{n}.w": np.zeros(2, np.float32) for n in "abcd"})
    plan = parse_plan("alternate(full, cyclic)")
    seen = {plan.choose(PlanContext(number, four)) for number in range(2, 10, 2)}
    assert seen == {(0,), (1,), (2,), (3,)}


@pytest.mark.parametrize("share", [0.05, 0.5, 1.0])
def test_random_names_each_block_as_often_as_it_says(share):
    chosen = rounds(f"random({share})", 2000, seed=3)
    assert all(chosen)
    counts = Counter(number for blocks in chosen for number in blocks)
    # Where no block is drawn, one of the five is taken.
    expected = share + (1 - share) ** 5 / 5
    for number in range(5):
        assert counts[number] / 2000 == pytest.approx(expected, abs=0.05)


def test_random_depends_on_seed_and_round_only():
    assert rounds("random(50%)", 20, seed=1) == rounds("random(50%)", 20, seed=1, link="lora")
    assert rounds("random(50%)", 20, seed=1) != rounds("random(50%)", 20, seed=2)
    assert len(set(rounds("random(50%)", 20, seed=1))) > 5


def test_largest_change_fills_its_budget_with_what_moved_most():
    change = {0: 5.0, 1: 4.0, 2: 3.0, 3: 2.0, 4: 1.0}  # per parameter; 700 parameters in all
    assert rounds("largest-change(9%)", 1, change=change) == [(0, 1, 2)]
    assert rounds("largest-change(10%)", 1, change=change) == [(0, 1, 2)]
    assert rounds("largest-change(15%)", 1, change=change) == [(0, 1, 2, 4)]
    assert rounds("largest-change(100%)", 1, change=change) == [(0, 1, 2, 3, 4)]


def test_largest_change_begins_with_blocks_that_have_not_moved_yet():
    assert rounds("largest-change(10%)", 1, change={0: 9.0, 1: 9.0, 2: 9.0, 3: 9.0}) == [(0, 2, 4)]
    assert rounds("largest-change(10%)", 1, change={0: 9.0, 1: 9.0, 2: 9.0, 4: 9.0}) == [(3,)]


@given(st.floats(0.01, 1), st.lists(st.floats(0, 1e6), min_size=5, max_size=5))
def test_largest_change_keeps_its_budget_but_for_the_first_block(share, changes):
    (chosen,) = rounds(f"largest-change({share:.6f})", 1, change=dict(enumerate(changes)))
    sizes = [prod(block.shapes[0]) for block in FIVE.blocks]
    first = max(chosen, key=lambda number: changes[number])
    used = sum(sizes[number] for number in chosen)
    assert changes[first] == max(changes)
    assert len(chosen) == 1 or used <= sum(sizes) * round(share, 6) + 1e-6


def test_a_plan_by_link():
    text = "by-link(full, lora, last(1), nb-iot, cyclic(2))"
    assert rounds(text, 2, link="lora") == [(4,), (4,)]
    assert rounds(text, 2, link="nb-iot") == [(0, 1), (2, 3)]
    assert rounds(text, 1, link="fibre") == rounds(text, 1, link="") == rounds("full", 1)


@pytest.mark.parametrize(
    ("joules", "expected"),
    [(None, (0, 1, 2, 3, 4)), (0.2, (0, 1, 2, 3, 4)), (0.201, (3, 4)), (5.0, (3, 4)), (5.1, (4,)), (1e9, (4,))],
)  # fmt: skip
def test_a_plan_by_energy(joules, expected):
    for text in ("by-energy(full, 200 mJ, last(2), 5 J, last(1))",
                 "by-energy(full, 5 J, last(1), 200 mJ, last(2))"):  # fmt: skip
        assert rounds(text, 1, joules=joules) == [expected]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fll", "did you mean 'full'"),
        ("last", "takes 1 arguments"),
        ("last(0)", "at least 1"),
        ("last(x)", "whole number"),
        ("alternate(full)", "takes 2 to 16"),
        ("alternate(full, first)", "unknown refresh plan 'first'"),
        ("cyclic(1, 2)", "takes 0 to 1"),
        ("random", "takes 1 arguments"),
        ("random(120%)", "at most 100%"),
        ("largest-change(0)", "above 0"),
        ("frozen", "takes 1 to 16"),
        ("by-link(full)", "takes 3 to 17"),
        ("by-link(full, lora, last(1), lte)", "lacks the last plan"),
        ("by-link(full, last(1), lora)", "the name of a link"),
        ("by-link(full, lora, last(1), lora, full)", "same condition twice"),
        ("by-energy(full, 5, last(1))", "joules such as 5 J"),
        ("by-energy(full, 5 W, last(1))", "joules such as 5 J"),
        ("by-energy(full, -5 J, last(1))", "cannot read"),
        ("last(2", "'\\)' is missing"),
        ("full full", "left over"),
        ("full; rm", "cannot read"),
        ("", "cannot read"),
    ],
)
def test_a_wrong_plan_is_explained(text, message):
    with pytest.raises(UsageError, match=message):
        parse_plan(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("last(9)", r"last\(9\) asks for more than the model's 5"),
        ("cyclic(6)", r"cyclic\(6\) asks for more than the model's 5"),
        ("frozen(lstm)", "no block matches 'lstm'; the model's blocks are conv, bn.a"),
        ("frozen(*)", r"frozen\(\*\) freezes every block"),
        ("frozen(last(1))", "no block matches 'last\\(1\\)'"),
        # Found before the first round, though the first round would not come to it.
        ("alternate(full, last(9))", "more than the model's 5"),
        ("by-link(full, lora, last(9))", "more than the model's 5"),
        ("by-energy(full, 5 J, frozen(*))", "freezes every block"),
    ],
)
def test_a_plan_that_does_not_fit_the_model_is_explained(text, message):
    with pytest.raises(UsageError, match=message):
        parse_plan(text).check(FIVE)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("alternate(subspace(512), full)", "no part of other plans"),
        ("by-link(subspace(512), lora, full)", "no part of other plans"),
        ("subspace(512, subspace(3))", "no part of other plans"),
        ("subspace(512, cyclic)", "the same in every round"),
        ("subspace(512, fold 3, fold 4)", "says twice"),
        ("subspace(512, fold 0)", "at least 1"),
        ("subspace(0)", "at least 1"),
    ],
)
def test_a_subspace_stands_alone_and_says_each_thing_once(text, why):
    with pytest.raises(UsageError, match=why):
        parse_plan(text)


def test_a_subspace_without_a_weight_is_refused():
    model = {"norm.running_mean": np.zeros(3, np.float32), "dense.weight": np.zeros(9, np.float32)}
    plan = parse_plan("subspace(8, frozen(dense))")
    with pytest.raises(UsageError, match="no weight"):
        plan.of_model(model, seed=0, fold=0)
