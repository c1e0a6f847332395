"""Texts from elsewhere: no control character gets to any place where a person reads them."""

import contextlib
import csv
import io
import json
import unicodedata
from dataclasses import replace

import pytest
from attacking import texts
from energy_records import RECORD, anything
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalfl import cli
from frugalfl.energy import formats
from frugalfl.energy.record_json import from_text, to_text
from frugalfl.text import for_csv, for_file_name, is_printable, printable
from frugalfl_client.cli import node
from frugalfl_server.cli import serve
from frugalfl_server.report.html import shown
from frugalfl_server.run.progress import Progress


def _progress(text):
    Progress(1).warn(text)


def _stop(text):
    with contextlib.suppress(SystemExit):
        cli._stop(text, 1)


#: Everything that prints what others say, as the programs call it.
SINKS = {"progress": _progress, "an error": _stop, "node": node._say, "serve": serve._show_line}


@pytest.mark.parametrize("sink", SINKS.values(), ids=SINKS)
@given(text=st.text(max_size=50) | st.just(texts.NASTY))
@settings(max_examples=50, deadline=None)
def test_no_control_character_gets_to_a_terminal(sink, text):
    screen = io.StringIO()
    with contextlib.redirect_stderr(screen), contextlib.redirect_stdout(screen):
        sink(text)
    said = screen.getvalue()
    assert texts.harmless(said)
    assert said.count("\n") == 1


@given(st.text(), st.integers(10, 400))
def test_what_is_printable_stays_and_is_bounded(text, most):
    once = printable(text, most)
    assert len(once) <= most
    assert printable(once, most) == once
    assert is_printable(once)
    assert texts.harmless(once)
    if text.isascii() and text.isprintable() and len(text) <= most:
        assert once == text


@pytest.mark.parametrize("text", ["Größe 3 µJ", "日本語", "ünïcödé", "e\u0301", "שלום", "😀"])
def test_words_of_any_language_stay(text):
    assert printable(text) == text


@pytest.mark.parametrize(
    "text", ["\x9b31m", "\u202e", "\u2066", "\u200d", "\ufeff", "\u3164", "\ud800"]
)
def test_what_a_reader_does_not_see_goes(text):
    assert printable(f"a{text}b").startswith("a ")
    assert not is_printable(text)


def test_accents_do_not_cover_the_lines_around():
    assert printable("a" + "\u0300" * 50) == "a\u0300\u0300"


@given(anything)
def test_no_cell_of_a_table_is_a_formula(text):
    record = replace(RECORD, run=text, link=text)
    (_, row) = csv.reader(io.StringIO(formats.to_csv([record], None)))
    assert texts.harmless("".join(row))
    for part in (part.strip() for cell in row for part in cell.split(";")):
        assert not part.startswith(("=", "+", "-", "@", "\uff1d"))


@pytest.mark.parametrize("number", [-0.5, -3, 1e-9, None, 0, True])
def test_numbers_stay_numbers(number):
    assert for_csv(number) is number


@given(st.text())
def test_a_file_name_stays_in_its_folder(tmp_path_factory, text):
    name = for_file_name(text)
    assert 0 < len(name) <= 81
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
    assert not name.startswith(".")
    assert ".." not in name


@given(anything)
def test_a_label_of_prometheus_ends_where_it_ends(text):
    lines = formats.to_prometheus([replace(RECORD, run=text)]).splitlines()
    assert sum(line.startswith("frugalfl_") for line in lines) == 2
    assert texts.harmless("".join(lines))


@given(anything)
def test_a_record_says_what_can_be_shown_or_is_refused(text):
    try:
        record = from_text(to_text(replace(RECORD, device=text)))
    except ValueError as error:
        assert texts.harmless(str(error))
    else:
        assert unicodedata.normalize("NFC", record.device) == unicodedata.normalize("NFC", text)
        assert texts.harmless(text)


@given(st.text())
def test_what_a_page_shows_can_be_shown(text):
    assert texts.harmless(str(shown(text)))
    assert json.loads(json.dumps(shown(text))) == shown(text)


@pytest.mark.parametrize(
    "outcome",
    [*texts.records(), texts.csv_formulas()],
    ids=lambda outcome: outcome.attack.replace(" ", "-"),
)
def test_records_and_tables_refuse_what_attackers_write(outcome):
    assert outcome.refused, outcome.line


def test_names_make_no_way_out_of_a_folder(tmp_path):
    for outcome in texts.names(tmp_path):
        assert outcome.refused, outcome


def test_clients_that_send_escape_codes_cost_their_contribution_only(tmp_path):
    for outcome in texts.clients(tmp_path / "clients", rounds=1):
        assert outcome.refused, outcome
        assert outcome.run_went_on, outcome
