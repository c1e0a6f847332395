"""The page: report.html.j2 filled in with a run's facts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from frugalfl.sizes import size_text
from frugalfl.text import MOST_OF_A_LINE, for_file_name, named_once, printable
from frugalfl_server.report import texts
from frugalfl_server.report.changed import settings_of
from frugalfl_server.report.client_rows import client_rows
from frugalfl_server.report.energy_figure import MOST_BARS
from frugalfl_server.report.figures import Figure, figures
from frugalfl_server.report.headlines import (
    BASELINE_NAME,
    comparison,
    headlines,
    missing,
    scored_on,
    slim_sentence,
    status,
)
from frugalfl_server.report.run_facts import Facts
from frugalfl_server.report.said import outcome_tables, outcomes_caption
from frugalfl_server.report.sheets import sheets
from frugalfl_server.report.tables import (
    comparison_rows,
    model_facts,
    model_rows,
    run_files,
    slim_rows,
)

#: The longest table of clients; energy.parquet has them all.
_MOST_CLIENTS = 100


def page(facts: Facts) -> str:
    """Return the whole page as HTML; everything in it that came from outside is escaped."""
    return environment().get_template("report.html.j2").render(_content(facts))


def environment() -> Environment:
    """Return what fills in templates of this folder, and escapes whatever it fills in."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "count": lambda number: "–" if number is None else f"{number:,}",
        "duration": texts.duration,
        "joules": texts.joules,
        "link": as_markup,
        "named_once": named_once,
        "percent": texts.percent,
        "size": size_text,
        "urlpath": quote,
    }
    return made


def shown(value: object) -> object:
    """Return a value as a page may show it; Jinja escapes it after that."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return printable(value, MOST_OF_A_LINE)


def _content(facts: Facts) -> Mapping[str, Any]:
    records = facts.run.energy
    clients = facts.joules_by_client
    drawings = {name: _keep_markup(drawing) for name, drawing in figures(facts).items()}
    each, settings = client_rows(facts), settings_of(facts.about, facts.summary["codecs"])
    tables = sheets(facts, each)
    return {
        "file_name": for_file_name(facts.run.name),
        "sheets": tables,
        "settings": settings,
        "changed": [one for one in settings if one.is_news],
        "each_client": each[:_MOST_CLIENTS],
        "each_in_all": len(each),
        "never_trained": facts.summary["never_trained"],
        "left_whole": facts.summary["left_whole"],
        "clients_measure": any(one.right is not None for one in each),
        "energy": texts.energy,
        "outcomes": facts.outcomes,
        "outcomes_caption": outcomes_caption(facts),
        "outcome_tables": outcome_tables(tables),
        "scored_on": scored_on(facts),
        "hollow": "; hollow dots are rounds on the pruned model" if facts.recovered else "",
        "name": facts.run.name,
        "about": facts.about,
        "started": time.strftime("%d %B %Y, %H:%M UTC", time.gmtime(facts.about["started_unix_s"])),
        "state": facts.summary["status"],
        "status": status(facts),
        "missing": missing(facts),
        "headlines": headlines(facts),
        "command": facts.command("report"),
        "export_command": facts.command("export"),
        "simulate_command": facts.simulate_command,
        "figures": drawings,
        "baseline_name": BASELINE_NAME,
        "has_baseline": bool(facts.baseline),
        "drawn": facts.drawn_title,
        "metrics": list(map(facts.name_of, facts.metrics)),
        "has_accuracy": facts.has_accuracy,
        "comparison": comparison(facts),
        "comparison_rows": comparison_rows(facts),
        "slim_rows": slim_rows(facts),
        "slim_sentence": slim_sentence(facts),
        "model_rows": model_rows(facts),
        "trees": facts.trees,
        "model_metrics": list(map(facts.name_of, facts.summary["metrics_int8"])),
        "model_facts": model_facts(facts),
        "energy_total": texts.energy(facts.client_energy if records else facts.summary["energy_j"]),
        "grids": facts.grids,
        "energy_sources": facts.joules_by_source,
        "phases": facts.joule_phases,
        "clients": clients[:_MOST_CLIENTS],
        "clients_in_all": len(clients),
        "most_bars": MOST_BARS,
        "uncertainty": lambda share: "not stated" if share is None else f"± {share * 100:.0f} %",
        "files": run_files(facts.run.path),
    }


def as_markup(made: str) -> Markup:
    """Return a drawing, or a link that holds a file, which go into the page whole and as they are.

    Whatever in them came from outside was escaped when they were made.
    """
    return Markup(made)


def _keep_markup(figure: Figure) -> Figure:
    """Return a figure whose drawings go into the page as they are."""
    panels = tuple(replace(one, svg=as_markup(one.svg)) for one in figure.panels)
    return replace(figure, wide=as_markup(figure.wide), narrow=as_markup(figure.narrow),
                   panels=panels)  # fmt: skip
