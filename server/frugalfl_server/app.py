"""One run, top to bottom: train, prune, recover, calibrate, export, report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from frugalfl.errors import Interrupted
from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl_server.phases.check_task import check_task
from frugalfl_server.phases.choose_refresh import refresh_as_told
from frugalfl_server.phases.conduct import conduct
from frugalfl_server.phases.federation import Federation
from frugalfl_server.phases.initial_model import pin_start
from frugalfl_server.report import write_report
from frugalfl_server.run import summary
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.resume import claimed, to_resume

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the federation that the run config describes.

    ``run-dir`` in the node config, or the setting ``resume``, names a run directory that is there
    already; without it, a new one is made under ``runs`` in the working folder.
    """
    settings = Settings.of(context.run_config)
    task = load_task(settings.run.task)
    settings, chosen = refresh_as_told(pin_start(settings, task))
    given = context.node_config.get("run-dir")
    if given is not None:
        run = RunDirectory.open(Path(str(given)))
    elif settings.run.resume:
        run = to_resume(Path(settings.run.resume), settings)
    else:
        check_task(task, settings)
        run = RunDirectory.create(Path("runs"), task.name, settings, app=None, chosen=chosen)
    with claimed(run), keeping_status(run):
        if settings.train.trees:
            from frugalfl_server.trees.federation import grow

            grow(_carrying(grid), settings, task, run)
        else:
            conduct(Federation(_carrying(grid), settings, task, run))
    write_report(run)


def _carrying(grid: Grid) -> Grid:
    """Let messages carry their content if there is a SuperLink, which a simulation has not."""
    if type(grid).__module__ != "flwr.superlink.grid.http_grid":
        return grid
    from frugalfl_server.exchange.flower.carrying import CarryingGrid  # 54 MB
    from frugalfl_server.exchange.flower.own_random import leave_random_alone

    leave_random_alone()
    return CarryingGrid(grid)


@contextmanager
def keeping_status(run: RunDirectory) -> Iterator[None]:
    """Keep what is known of the run in ``summary.json`` however the ``with`` block ends.

    Raises:
        Interrupted: The user pressed Ctrl-C.
    """
    status, reason = "finished", None
    try:
        yield
    except KeyboardInterrupt as error:
        status = "interrupted"
        raise Interrupted(
            f"interrupted after {len(run.rounds)} rounds; they are in {run.path}"
        ) from error
    except BaseException as error:
        status, reason = "failed", str(error)
        raise
    finally:
        run.flush()
        run.write_json("summary.json", summary.of_run(run, status, reason))
