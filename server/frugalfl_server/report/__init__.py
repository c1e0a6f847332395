"""A run to look at: ``report.html``, and a summary on the terminal.

    facts     what the run's files say, and the comparisons between them
    joules    energy records, added up by client and by source
    texts     numbers for people
    svg       a drawing as text that belongs in an HTML page
    figures   the figures
    html      the page: report.html.j2 filled in
    terminal  the same headline figures, in a box

Importing this package is cheap: Matplotlib and Jinja load when a report is written.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frugalfl_server.run_directory import RunDirectory

__all__ = ["write_report"]


def write_report(run: RunDirectory) -> Path:
    """Write ``report.html`` from the run's files, whatever part of them there is.

    Returns:
        The path of the page, which needs no other file and no network.

    Raises:
        RunError: A file of the run is damaged.
    """
    from frugalfl.atomic import write_atomically
    from frugalfl_server.report.facts import read_facts
    from frugalfl_server.report.html import page
    from frugalfl_server.run_directory import blaming

    with blaming(run.path):
        text = page(read_facts(run))
    path = run.path / "report.html"
    write_atomically(path, text.encode())
    return path
