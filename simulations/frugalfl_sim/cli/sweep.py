"""``frugalfl sweep``: many runs of one app, and how they compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from frugalfl.help import epilog
from frugalfl.termination import ending_like_ctrl_c

command = typer.Typer(rich_markup_mode="markdown", add_completion=False)

_EPILOG = """
Values:

- Commas separate them: learning-rate=0.01,0.05. A range holds both its ends: seed=1..5, or in
  steps rounds=10..50..10.

- A comma in brackets or in quotes separates nothing: uplink='zstd,stochastic(4) |
  range' is two codecs, refresh='alternate(full, last(2)),full' two plans, and initial='"a,b"' one
  text. **codec** is short for uplink.

- The shell takes | and brackets for itself: put single quotes around them.

Examples:

- frugalfl sweep digits seed=1..5 learning-rate=0.01,0.05

- frugalfl sweep digits codec='zstd,feedback | topk(2%) | sign | golomb' seed=1..3 --to 0.9

- frugalfl sweep digits seed=1..8 --jobs 2 --json sweep.json
"""


@command.command(epilog=epilog(_EPILOG))
def sweep(
    app: Annotated[str, typer.Argument(help="Folder of a Flower app: pyproject.toml and task.py.")],
    grid: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUES...", help="Settings and the values of each.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the sweep; by default sweeps/ and the app's name."),
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Processes, each with a run and one thread; longest first.")
    ] = 1,
    to: Annotated[
        float | None, typer.Option(help="Value of the task's first measure to count rounds to.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures there too.")
    ] = None,
) -> None:
    """Run a grid of settings, and compare them: mean and range over seeds.

    Every combination is checked before the first one is run. Each run is an ordinary run directory.
    A sweep that was stopped or killed goes on when the same command is given again: finished runs
    are not repeated, a begun one is resumed. With more values only what is new is run; if the
    app's code changed since, it is refused.
    """
    from frugalfl_sim.sweep.grid import read_grid
    from frugalfl_sim.sweep.points import points_of

    points = points_of(Path(app), read_grid(grid))  # a slip is answered before anything heavy
    from frugalfl.atomic import write_atomically, write_json
    from frugalfl_sim.sweep.page import sweep_page
    from frugalfl_sim.sweep.place import Place
    from frugalfl_sim.sweep.sweep import Sweep, check_some_finished
    from frugalfl_sim.sweep.table import as_json, print_table

    folder = out or Path("sweeps") / Path(app).resolve().name
    with ending_like_ctrl_c():
        outcomes = Sweep(Path(app), Place(folder), points, jobs, to).run()
    check_some_finished(outcomes)
    print_table(outcomes, to)
    page = folder / "sweep.html"
    write_atomically(page, sweep_page(Path(app).resolve().name, outcomes, to).encode())
    typer.echo(f"page: {page}")
    if json_file is not None:
        write_json(json_file, as_json(outcomes, to), shared=True)
