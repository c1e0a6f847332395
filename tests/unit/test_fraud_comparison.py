"""Figures over seeds: means, intervals, gaps, gains, and what is unknown."""

import io
import json
from dataclasses import replace

import pytest
from fraud_comparison import FEDERATED, made_up
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats

from frugalfl.errors import RunError
from frugalfl_sim.comparison.comparison import Cell, Comparison
from frugalfl_sim.comparison.estimates import Estimate, Joules, estimate, student_t, total
from frugalfl_sim.comparison.rows import Bytes, Row
from frugalfl_sim.comparison.summary_json import summary
from frugalfl_sim.comparison.terminal_table import print_comparison
from frugalfl_sim.rare_cases.alerts import Alerts
from frugalfl_sim.rare_cases.evaluation import Evaluation, Quality

CELL = Cell("geography", "local")


def quality(ap) -> Quality:
    return Quality(100, 10, ap, 0.9, 0.01, 0.002, 0.1)


def row(method, ap, own=None, *, seed=1, branch=None, cell=CELL, **changes) -> Row:
    """A row with this pooled average precision, and these of the branches ``a`` and ``b``."""
    branches = {name: quality(one) for name, one in zip("ab", own or (ap, ap), strict=True)}
    alerts = Alerts(100, 5, 0.25, 0.5, 10, 4, 900.0, 300.0)
    made = Row(
        seed, *cell, method, branch, Evaluation(quality(ap), branches, alerts, (), ()),
        Bytes(1000, 20, 3), Bytes(2000), 5, Joules(estimated=6.0), Joules(estimated=0.2), 800, 1.5,
    )  # fmt: skip
    return replace(made, **changes)


def alone(pooled, own, **changes) -> list[Row]:
    """Two models that score everybody's rows, and what each makes of its own."""
    return [
        row("alone", 0.99, own, **changes),
        *(row("alone", ap, branch=name, **changes) for name, ap in zip("ab", pooled, strict=True)),
    ]


@pytest.fixture(scope="module")
def whole() -> Comparison:
    return Comparison(tuple(made_up(rows=1500)), "bagging")


def test_the_interval_is_students():
    found = estimate([0.70, 0.72, 0.77])
    low, high = stats.t.interval(0.95, 2, loc=found.mean, scale=stats.sem([0.70, 0.72, 0.77]))
    assert found.mean == pytest.approx(0.73)
    assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx(
        (low, high)
    )


@given(st.integers(1, 300))
def test_students_t_for_any_number_of_seeds(degrees):
    assert student_t(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=1e-9)


def test_one_seed_has_no_interval():
    assert estimate([0.5]) == Estimate(0.5, None, (0.5,))
    assert estimate([]) is None


def test_the_gap_is_taken_in_two_ways():
    rows = [*alone((0.2, 0.3), (0.5, 0.6)), row("central", 0.8, (0.7, 0.8)),
            row("bagging", 0.7, (0.6, 0.8))]  # fmt: skip
    comparison = Comparison(tuple(rows), "bagging")
    own = comparison.gap(CELL, "bagging", "own_rows")
    assert (own.alone, own.central, own.federated) == pytest.approx((0.55, 0.75, 0.70))
    assert own.closed == pytest.approx(0.15 / 0.20)
    pooled = comparison.gap(CELL, "bagging", "pooled")
    assert (pooled.alone, pooled.central, pooled.federated) == pytest.approx((0.25, 0.8, 0.7))
    assert pooled.closed == pytest.approx(0.45 / 0.55)
    assert summary(comparison)["gap_closed"]["bagging"] == {
        "own_rows": own.closed, "pooled": pooled.closed,
    }  # fmt: skip


def test_no_gap_is_unknown_and_not_a_division():
    rows = (*alone((0.8, 0.8), (0.8, 0.8)), row("central", 0.8), row("bagging", 0.9))
    gap = Comparison(rows, "bagging").gap(CELL, "bagging", "pooled")
    assert (gap.closed, gap.by_seed) == (None, (None,))


def test_a_gap_is_of_the_seeds_that_all_have():
    rows = [
        *alone((0.2, 0.2), (0.2, 0.2)), row("central", 0.6), row("bagging", 0.5),
        *alone((0.9, 0.9), (0.9, 0.9), seed=2), row("bagging", 0.9, seed=2),
    ]  # fmt: skip
    gap = Comparison(tuple(rows), "bagging").gap(CELL, "bagging", "pooled")
    assert gap.closed == pytest.approx(0.75)
    assert Comparison(tuple(rows[3:5]), "bagging").gap(CELL, "bagging", "pooled") is None


def test_a_branch_of_one_class_is_left_out_of_the_mean_and_named():
    comparison = Comparison((row("bagging", 0.7, (0.6, None)),), "bagging")
    assert comparison.average_precision(CELL, "bagging", "own_rows").mean == 0.6
    assert comparison.unknown(CELL) == ("b",)
    assert summary(comparison)["branches_of_one_class"] == ["b"]


def test_the_gain_of_counters_is_paired_by_seed():
    shared = Cell("geography", "shared")
    rows = [row("bagging", ap, seed=seed) for seed, ap in ((1, 0.5), (2, 0.7))]
    rows += [
        row("bagging", ap, seed=seed, cell=shared) for seed, ap in ((2, 0.9), (1, 0.6), (3, 0.1))
    ]
    gain = Comparison(tuple(rows), "bagging").counters_gain("geography", "bagging", "pooled")
    assert gain.values == pytest.approx((0.1, 0.2))
    assert gain.mean == pytest.approx(0.15)


def test_subsampling_is_judged_by_joules_and_by_what_it_costs():
    rows = (row("central", 0.75, training=Joules(estimated=3.0)),
            row("central_all", 0.74, training=Joules(estimated=12.0)))  # fmt: skip
    found = Comparison(rows, "bagging").subsampling(CELL)
    assert (found.energy_share, found.gain.mean) == (0.25, pytest.approx(0.01))
    mixed = (rows[0], replace(rows[1], training=Joules(measured=12.0)))
    assert Comparison(mixed, "bagging").subsampling(CELL).energy_share is None


def test_joules_stay_apart_and_unknown_ones_stay_unknown():
    assert total([Joules(1.0), Joules(None, 2.0), Joules(3.0, 4.0)]) == Joules(4.0, 6.0)
    assert Joules(1.0) + Joules() == Joules()
    assert Joules(estimated=3.0).per(0) == Joules()
    assert [one.kind for one in (Joules(1.0), Joules(None, 1.0), Joules(1.0, 1.0), Joules())] == [
        "measured", "estimated", "partly estimated", "unknown",
    ]  # fmt: skip


def test_energy_per_score_and_per_caught_fraud():
    comparison = Comparison((row("bagging", 0.7),), "bagging")
    # 100 rows scored with 0.2 J; 6 J of training and those found 4 frauds.
    assert comparison.per_thousand_scores(CELL, "bagging") == Joules(None, pytest.approx(2.0))
    assert comparison.per_caught_fraud(CELL, "bagging") == Joules(None, pytest.approx(6.2 / 4))
    none = replace(row("bagging", 0.7).evaluation, alerts=Alerts(100, 5, 0.0, 0.5, 10, 0, 9.0, 0.0))
    found = Comparison((row("bagging", 0.7, evaluation=none),), "bagging")
    assert found.per_caught_fraud(CELL, "bagging") == Joules()


def test_json_gives_back_the_same(whole):
    assert Comparison.from_json(whole.to_json()) == whole


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"chosen":"bagging","rows":[{}]}', '{"chosen":1,"rows":[]}']
)
def test_a_damaged_file_is_a_sentence(text):
    with pytest.raises(RunError) as caught:
        Comparison.from_json(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "chosen", "says"),
    [
        ([], "bagging", "at least one row"),
        ([row("boosting", 0.5)], "bagging", "'boosting' is not one of alone"),
        ([row("central", 0.5)], "central", "not a federated one"),
        ([row("mlp", 0.5, counters="secret")], "mlp", "counters are 'secret'"),
        ([row("bagging", 0.5)] * 2, "bagging", "two rows are of bagging, seed 1, geography split"),
        ([row("mlp", 0.5, branch="a")], "mlp", "only a model of a branch alone"),
        (alone((0.5, 0.5), (0.5, 0.5))[:2], "mlp", "lacks the row of branch 'b' by itself"),
        (alone((0.5, 0.5), (0.5, 0.5))[1:], "mlp", "lacks the row of all branches"),
    ],
)
def test_rows_that_contradict_each_other_are_refused(rows, chosen, says):
    with pytest.raises(RunError, match=says):
        Comparison(tuple(rows), chosen)


def test_the_summary_has_every_field_by_method(whole):
    found = json.loads(json.dumps(summary(whole), allow_nan=False))
    assert found["headline"] == {"split": "geography", "counters": "shared", "method": "bagging"}
    for name in ("average_precision", "roc_auc", "uplink_bytes", "rounds", "energy_j", "models"):
        assert set(found[name]) == set(whole.methods(whole.headline))
    assert set(found["gap_closed"]) == {*FEDERATED}
    assert found["uplink_bytes"]["bagging"] == 484_000
    assert found["uplink_bytes"]["central"] is None
    assert found["models"]["mlp_int8"]["bytes"] == 8_144
    assert found["energy_j"]["mlp"] == {"measured": None, "estimated": 72.0}
    assert found["counters_gain"]["segment"]["bagging"]["pooled"] > 0.1
    assert len(found["conditions"]) == 4


def test_the_table_shows_every_method_of_every_condition(whole):
    file = io.StringIO()
    print_comparison(whole, Console(file=file, width=112))
    text = file.getvalue()
    assert text.count("federated MLP int8") == 4
    assert "…" not in text  # nothing is cut off
    pooled = whole.average_precision(Cell("segment", "shared"), "histogram")
    assert pooled.text() in text
    assert "472.7 KiB" in text and "all rows" in text and "~72.0 J" in text
    assert "Shared counters: AP +" in text
    assert "accuracy" not in text.lower()


def test_the_table_of_a_lone_method_says_what_is_unknown():
    comparison = Comparison((row("bagging", None, (None, None), training=Joules()),), "bagging")
    file = io.StringIO()
    print_comparison(comparison, Console(file=file, width=112))
    assert "unknown in a, b" in file.getvalue()
    assert "–" in file.getvalue()
