"""Every table of a page with its plain values, to be downloaded as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, fields
from typing import Any

from frugalfl.kinds import ACCURACY
from frugalfl_server.report.by_round import round_sheet
from frugalfl_server.report.changed import settings_of, settings_sheet
from frugalfl_server.report.client_rows import ClientRow, client_sheet
from frugalfl_server.report.headlines import BASELINE_NAME
from frugalfl_server.report.joules import JouleSource
from frugalfl_server.report.run_facts import Facts
from frugalfl_server.report.scores_table import class_sheet, error_sheet, output_sheet
from frugalfl_server.report.sheet import Cell, Sheet
from frugalfl_server.report.tables import STAGES, SlimRow, comparison_rows, slim_rows


def sheets(facts: Facts, clients: Sequence[ClientRow]) -> dict[str, Sheet]:
    """Return the tables, by name, that the run has data for.

    Args:
        facts: Of the run.
        clients: What is known of each client.
    """
    found = [
        round_sheet(facts),
        client_sheet(clients),
        settings_sheet(settings_of(facts.about, facts.summary["codecs"])),
        _energy(facts),
        _sources(facts),
        _model(facts),
        _federation(facts),
        Sheet("slim", [one.name for one in fields(SlimRow)], _slim(facts)),
    ]
    if facts.outcomes:
        of_model = [make(facts.outcomes) for make in (class_sheet, error_sheet, output_sheet)]
        found += [sheet for sheet in of_model if sheet]
    return {sheet.name: sheet for sheet in found if sheet.rows}


def _energy(facts: Facts) -> Sheet:
    phases = facts.joule_phases
    header = ["client", "rounds", *(f"{phase} (J)" for phase in phases)]
    header += ["total (J)", "kind", "relative uncertainty (k = 2)"]
    rows = [
        [one.client, one.rounds, *(one.phases.get(phase) for phase in phases), one.total_j,
         one.word, one.uncertainty_rel]
        for one in facts.joules_by_client
    ]  # fmt: skip
    return Sheet("energy", header, rows)


def _sources(facts: Facts) -> Sheet:
    header = [one.name for one in fields(JouleSource)]
    rows: list[list[Any]] = [list(astuple(one)) for one in facts.joules_by_source]
    return Sheet("sources", header, [[_word(cell) for cell in row] for row in rows])


def _word(cell: Any) -> Cell:
    return ("yes" if cell else "no") if isinstance(cell, bool) else cell


def _model(facts: Facts) -> Sheet:
    if facts.export is None:
        return Sheet("model", [], [])
    export, proof = facts.export, facts.export["verification"]
    by_name = {**proof.get("metrics", {}), ACCURACY: proof["accuracy"]}
    by_name["agrees with the reference"] = proof["agreement"]
    header = ["stage", *by_name, "file (B)", "latency on the host (µs)"]
    rows = [
        [name, *(values[stage] for values in by_name.values()),
         None if size is None else export[size], proof["latency_us_host"].get(stage)]
        for stage, name, size in STAGES
    ]  # fmt: skip
    return Sheet("model", header, rows)


def _federation(facts: Facts) -> Sheet:
    """Return the figures as they are shown, with their units."""
    rows = [[one.name, one.ours, one.baseline, one.difference] for one in comparison_rows(facts)]
    return Sheet("federation", ["", "FrugalFL", BASELINE_NAME, "difference"], rows)


def _slim(facts: Facts) -> list[list[Cell]]:
    return [[*astuple(one)[:-1], "; ".join(one.metrics)] for one in slim_rows(facts)]
