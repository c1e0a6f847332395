"""A run to look at: ``report.html``, and a summary on the terminal.

    facts     what the run's files say, and the comparisons between them
    outcomes  what the final model said of the public rows
    joules    energy records, added up by client and by source
    clients   what is known of each client
    changed   settings beside their defaults
    texts     numbers for people
    svg       a drawing as text that belongs in an HTML page
    figures   the figures; panels: small ones side by side
    sheets    the tables as CSV
    html      the page: report.html.j2 filled in
    seeds     several runs on one page: mean and band by round
    terminal  the same headline figures, in a box

Importing this package is cheap: Matplotlib and Jinja load when a report is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from frugalfl.errors import UsageError

if TYPE_CHECKING:
    from frugalfl_server.run.directory import RunDirectory

__all__ = ["write_comparison", "write_report"]


def write_report(run: RunDirectory) -> Path:
    """Write ``report.html`` from the run's files, whatever part of them there is.

    Returns:
        The path of the page, which needs no other file and no network.

    Raises:
        RunError: A file of the run is damaged.
    """
    from frugalfl.atomic import write_atomically
    from frugalfl_server.report.html import page
    from frugalfl_server.report.run_facts import read_facts
    from frugalfl_server.run.directory import blaming

    with blaming(run.path):
        text = page(read_facts(run))
    path = run.path / "report.html"
    write_atomically(path, text.encode())
    return path


def write_comparison(paths: Sequence[Path], out: Path | None = None) -> Path:
    """Write one page of several runs: mean and band by round if only their seeds differ.

    Args:
        paths: Two run directories or more.
        out: Where the page goes; by default ``seeds.html`` beside the first run.

    Returns:
        The path of the page.

    Raises:
        RunError: A run is damaged.
        UsageError: A run is named twice, or has no finished round; the page cannot be written.
    """
    from frugalfl.atomic import write_atomically
    from frugalfl_server.report.seeds import FILE, read_compared
    from frugalfl_server.report.seeds_page import seeds_page
    from frugalfl_server.run.directory import blaming

    compared = read_compared(paths)
    page = out or compared.facts[0].run.path.parent / FILE
    with blaming(compared.facts[0].run.path):
        text = seeds_page(compared)
    try:
        write_atomically(page, text.encode())
    except OSError as error:
        raise UsageError(f"cannot write {page}: {error.strerror}; say where with --out") from error
    return page
