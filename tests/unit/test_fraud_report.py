"""The page about a comparison: whole, partial, and with names that nobody expected."""

import re
from dataclasses import replace

import pytest
from fraud_comparison import made_up, notes
from html_page import Page

from frugalfl_sim.comparison.comparison import Comparison
from frugalfl_sim.comparison.estimates import Joules
from frugalfl_sim.comparison.page import write_page
from frugalfl_sim.comparison.rows import METHODS


@pytest.fixture(scope="module")
def rows():
    return made_up(seeds=(1, 2), rows=1500)


@pytest.fixture(scope="module")
def comparison(rows) -> Comparison:
    return Comparison(tuple(rows), "bagging")


@pytest.fixture(scope="module")
def page(comparison, tmp_path_factory) -> Page:
    return Page(write_page(comparison, notes(), tmp_path_factory.mktemp("page") / "r.html"))


def some(rows, keep) -> Comparison:
    return Comparison(tuple(row for row in rows if keep(row)), "bagging")


def test_the_page_has_every_figure_and_table(page):
    for name in ("methods-0", "methods-1", "recall", "branches", "reliability", "joules", "bytes"):
        assert page.part("figure", name).count("<svg") == 2  # wide and narrow
    for name in ("gains", "branches", "calibration", "money", "energy", "bytes", "disclosures",
                 "preparation", *(f"condition-{number}" for number in range(4))):  # fmt: skip
        assert f"table-{name}" in page.ids
    for method in METHODS.values():
        assert method.name in page.part("table", "condition-0")


def test_the_page_needs_nothing_else(page):
    assert len(page.ids) == len(set(page.ids))
    assert all(one.startswith("#") and one[1:] in page.ids for one in page.references)
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert "http" not in page.html.replace("http://www.w3.org", "")


def test_the_headline_is_the_gap_on_own_rows(page, comparison):
    gap = comparison.gap(comparison.headline, "bagging", "own_rows")
    assert f"Federated bagging closes {gap.closed * 100:.0f} % of the gap" in page.text
    pooled = comparison.average_precision(comparison.headline, "bagging")
    assert pooled.text() in page.part("table", "condition-0")


def test_estimated_joules_say_so_wherever_they_stand(page):
    for value in re.findall(r"<td[^>]*>([^<]* [mµk]?J[^<]*)</td>", page.html):
        assert "estimated" in value
    assert "CO2e of estimated joules" in page.part("table", "energy")
    assert "ES 2023" in page.text


def test_what_was_revealed_is_there_as_given(page):
    table = page.part("table", "disclosures")
    for words in ("trees without leaf counts", "410.2 KiB", "not counted", "with shared counters"):
        assert words in table
    assert "A terminal planted in one branch is seen by no other." in page.text
    assert "south: no fraud before day 30" in page.text
    assert "5,400" in page.part("table", "preparation")


def test_accuracy_is_nowhere(page):
    assert "accuracy" not in page.text.lower()


def test_one_federated_method_alone_makes_a_page(rows, tmp_path):
    lone = some(rows, lambda row: row.method == "bagging" and row.counters == "local"
                and row.split == "segment" and row.seed == 1)  # fmt: skip
    page = Page(write_page(lone, notes(disclosures=(), preparation=(), grid=None), tmp_path / "r"))
    assert "cannot be compared" in page.text
    assert "One seed only" in page.text
    assert "Nobody recorded what was revealed to whom." in page.text
    assert "CO2e" not in page.text
    assert "table-gains" not in page.ids


def test_unknown_joules_are_unknown(rows, tmp_path):
    lone = some(
        [replace(row, training=Joules(), scoring=Joules()) for row in rows],
        lambda row: row.split == "segment" and row.seed == 1,
    )
    page = Page(write_page(lone, notes(), tmp_path / "r.html"))
    assert "No joules are known" in page.text
    assert "figure-joules" not in page.ids
    assert page.part("table", "energy").count(">unknown<") == 4 * len(METHODS)


def test_measured_and_estimated_joules_are_named_apart(rows, tmp_path):
    both = Comparison(
        tuple(replace(row, training=Joules(3.0, 5.25)) for row in rows[:60]), "bagging"
    )
    page = Page(write_page(both, notes(), tmp_path / "r.html"))
    assert "3.00 J measured + 5.25 J estimated" in page.part("table", "energy")


def test_a_branch_of_one_class_is_named_and_not_drawn_as_zero(rows, tmp_path):
    def blind(row):
        quality = row.evaluation.branches["west"]
        quality = replace(quality, frauds=0, average_precision=None, roc_auc=None)
        branches = row.evaluation.branches | {"west": quality}
        return replace(row, evaluation=replace(row.evaluation, branches=branches))

    seen = Comparison(tuple(blind(row) for row in rows if row.split == "segment"), "bagging")
    page = Page(write_page(seen, notes(), tmp_path / "r.html"))
    assert "average precision is unknown in west" in page.text
    assert page.part("table", "branches").count("unknown: one class") == 3
    assert "unknown: one class" in page.part("figure", "branches")


def test_names_from_outside_are_text(rows, tmp_path):
    evil = "<script>alert(1)</script>"

    def renamed(row):
        found = row.evaluation
        branches = {evil if name == "west" else name: one for name, one in found.branches.items()}
        branch = evil if row.branch == "west" else row.branch
        return replace(row, branch=branch, split=evil, evaluation=replace(found, branches=branches))

    named = Comparison(tuple(renamed(r) for r in rows if r.split == "segment"), "bagging")
    page = Page(write_page(named, notes(title=evil, currency=evil), tmp_path / "r.html"))
    assert "script" not in page.tags
    assert evil in page.text
