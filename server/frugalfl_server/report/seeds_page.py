"""The page of several runs: seeds.html.j2 filled in."""

from __future__ import annotations

import shlex
from pathlib import Path

from frugalfl_server.report.html import as_markup, environment
from frugalfl_server.report.said import cell_text
from frugalfl_server.report.seeds import (
    Compared,
    caption,
    end_sheet,
    round_sheet,
    seed_panels,
    sentence,
)
from frugalfl_server.report.sheet import svg_link
from frugalfl_server.report.svg import as_file
from frugalfl_server.run.file_times import short_path


def seeds_page(compared: Compared) -> str:
    """Return the page as HTML; everything in it that came from outside is escaped."""
    panels, ends, rounds = seed_panels(compared), end_sheet(compared), round_sheet(compared)
    downloads = [(f"{one.name}.svg", svg_link(as_file(one.svg))) for one in panels]
    downloads += [("seeds-rounds.csv", rounds.link), ("seeds-ends.csv", ends.link)]
    return environment().get_template("seeds.html.j2").render(
        task=compared.tasks,
        number=len(compared.facts),
        same=compared.same,
        sentence=sentence(compared),
        panels=[as_markup(one.svg) for one in panels],
        caption=caption(compared),
        command=_command([one.run.path for one in compared.facts]),
        downloads=downloads,
        header=ends.header,
        rows=[[cell_text(cell) for cell in row] for row in ends.rows],
    )  # fmt: skip


def _command(paths: list[Path]) -> str:
    return "frugalfl report " + " ".join(shlex.quote(str(short_path(path))) for path in paths)
