"""``frugalfl tune``: a search for good settings, with what the search itself took."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from frugalfl.help import epilog
from frugalfl.termination import ending_like_ctrl_c

command = typer.Typer(rich_markup_mode="markdown", add_completion=False)

_EPILOG = """
What is chosen from:

- All numbers between two: learning-rate=0.001..0.3; with **:log** as many between 0.001 and 0.01 as
  between 0.01 and 0.1; whole ones if the setting takes such: local-epochs=1..8. The
  ends of each are checked first; a combination that cannot be is a failed trial.

- Values, as in `frugalfl sweep`: clients-per-round=5,10,20. One value is the same in all trials.

Examples:

- frugalfl tune digits --metric accuracy --trials 20 learning-rate=0.01..0.3:log rounds=20

- frugalfl tune digits --metric accuracy --metric bytes --trials 30 clients-per-round=5,10,20
  local-epochs=1..8

- frugalfl tune digits --metric accuracy --trials 20 learning-rate=0.01..0.3:log --compare-random
"""


@command.command(epilog=epilog(_EPILOG))
def tune(
    app: Annotated[str, typer.Argument(help="Folder of a Flower app: pyproject.toml and task.py.")],
    space: Annotated[
        list[str], typer.Argument(metavar="KEY=LOW..HIGH...", help="Settings to choose from.")
    ],
    metric: Annotated[
        list[str],
        typer.Option(help="A measure of the task, bytes, joules or seconds; may be given again."),
    ],
    trials: Annotated[int, typer.Option(min=1, help="Trials in all, those of before included.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the search; by default tunes/ and the app's name."),
    ] = None,
    again: Annotated[
        int, typer.Option(min=0, help="Other seeds that the best settings are measured on again.")
    ] = 2,
    compare_random: Annotated[
        bool, typer.Option("--compare-random", help="Also run as many trials by chance.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures there too.")
    ] = None,
) -> None:
    """Search for settings that are best by one metric, or not beaten in several (Optuna, TPE).

    With one measure of the task, trials that fall behind are stopped early. The figure of the best
    is measured anew, on other seeds than it was chosen on. A search that was stopped or killed goes
    on when the same command is given again; more **--trials** go on, too.
    """
    from frugalfl_sim.sweep.points import point_of
    from frugalfl_sim.sweep.space import read_space

    read = read_space(space)
    varied = frozenset(read.free)
    points = [point_of(Path(app), corner, varied) for corner in read.corners()]
    from frugalfl.atomic import write_json
    from frugalfl_sim.sweep.place import Place
    from frugalfl_sim.sweep.search import Search, directions
    from frugalfl_sim.sweep.tune import tune as search_all
    from frugalfl_sim.sweep.tune_table import as_json, print_found

    better = directions(Path(app), points[0].settings.run.task, metric)
    folder = out or Path("tunes") / Path(app).resolve().name
    search = Search(Path(app), Place(folder), read, tuple(metric), better)
    with ending_like_ctrl_c():
        found = search_all(search, trials, again, compare_random)
    print_found(found)
    if json_file is not None:
        write_json(json_file, as_json(found), shared=True)
