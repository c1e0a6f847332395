"""Tables of the documents are what the figures of the benchmarks give."""

import copy
import re
from pathlib import Path

import pytest
from common import RESULTS, ROOT
from rendering.regions import fill, names
from rendering.table_sources import TABLES
from tables import documents, filled, load_results

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture(scope="module")
def results():
    return load_results(RESULTS)


def test_every_table_is_what_its_figures_give(results):
    texts = documents(ROOT)
    assert filled(texts, results) == texts, "run python benchmarks/tables.py"


def test_every_table_stands_in_one_place():
    texts = documents(ROOT).values()
    found = [n for text in texts for kind in ("table", "by hand") for n in names(text, kind)]
    assert sorted(found) == sorted([*TABLES, "glance", "waiting"])


def test_every_result_says_what_it_was_measured_on(results):
    assert results
    programs = {source.stem: source.program for source in TABLES.values()}
    for name, figures in results.items():
        about = figures["about"]
        assert about["command"].startswith(f"python benchmarks/{programs[name]}.py"), name
        assert re.fullmatch(r"[0-9a-f]{12}", about["commit"]), f"{name}: files were not committed"
        assert about["machine"]["cores"] and about["date"] and about["versions"]["numpy"], name


def test_a_figure_that_changed_is_found(results):
    texts = documents(ROOT)
    for name in ("codec", "trees"):
        other = copy.deepcopy(results)
        change_a_number(other[name])
        assert filled(texts, other) != texts, name


def change_a_number(figures):
    """Double the bytes of everything."""
    for key, value in figures.items():
        if isinstance(value, dict):
            change_a_number(value)
        elif "bytes" in key:
            figures[key] = 2 * value


def test_a_table_that_was_edited_is_found(results):
    texts = documents(ROOT)
    for document, text in texts.items():
        for name in names(text, "table"):
            start = text.index(f"<!-- table: {name} -->")
            digit = re.compile(r"\d").search(text, start)
            edited = text[: digit.start()] + "x" + text[digit.end() :]
            assert filled(texts | {document: edited}, results) == texts, name


def test_a_table_by_hand_is_replaced_once_its_figures_are_there():
    before = "a\n<!-- by hand: one -->\nold\n<!-- end -->\nb\n"
    assert fill(before, lambda name: None) == before
    after = fill(before, lambda name: f"new {name}")
    assert after == "a\n<!-- table: one -->\nnew one\n<!-- end -->\nb\n"
    with pytest.raises(ValueError, match="gone"):
        fill(after, lambda name: None)


def test_a_mark_that_is_cut_in_two_is_refused():
    for text in ("<!-- table: one -->\n", "<!-- end -->\n", "<!-- table: a b -->\n<!-- end -->\n"):
        with pytest.raises(ValueError, match="no counterpart"):
            fill(text, lambda name: "")


def test_figures_of_a_short_version_are_no_result(tmp_path):
    (tmp_path / "codec.json").write_text('{"about": {"quick": true}}')
    with pytest.raises(ValueError, match="--quick"):
        load_results(tmp_path)


#: What no user starts: parts of other benchmarks, the tool that makes tables, a comparison.
PARTS = {"one_client.py", "tables.py"}


def test_every_benchmark_writes_json_and_has_a_short_version():
    for program in BENCHMARKS.glob("*.py"):
        text = program.read_text()
        if '__name__ == "__main__"' in text and program.name not in PARTS:
            assert re.search(r"\b(arguments|parser_of)\(__doc__\)", text), program.name
            assert re.search(r"\bfinish\(", text), program.name


def test_every_table_has_a_program():
    for source in TABLES.values():
        assert Path(BENCHMARKS / f"{source.program}.py").exists()
