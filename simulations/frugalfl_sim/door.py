"""``frugalfl.simulate``: a federation from a notebook or a script, and what the verb stands on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from frugalfl_server.cli.options import chosen

if TYPE_CHECKING:
    from frugalfl_server.run.open_run import Run

PathLike = str | os.PathLike[str]


def simulate(
    app: PathLike | None = None,
    *changes: str,
    runs: PathLike = "runs",
    baseline: bool = False,
    slim: bool = False,
    resume: PathLike | None = None,
    **settings: str | int | float,
) -> Run:
    """Simulate a federation on this machine to its end: train, prune, export to int8, report.

    Progress lines go to standard error, as those of ``frugalfl simulate`` do.

    Args:
        app: Folder of a Flower app; with ``resume`` the run's own if left out.
        changes: Settings to change as on the command line, ``"uplink=topk(1%) | zstd"``.
        runs: Folder that the run directory goes into.
        baseline: Also run Flower's stock FedAvg in float32, same seed and rounds.
        slim: Also train the pruned model's architecture from scratch, as long.
        resume: A run that was stopped, to go on with; ``"latest"``: the newest one in ``runs``.
        settings: Settings to change, ``clients_per_round=4`` for ``clients-per-round``.

    Returns:
        The run, with its tables and paths.

    Raises:
        UsageError: There is no such app, or a setting is unknown or wrong.
        FrugalFLError: As the command would end; what was finished is in the run directory.

    Example:
        >>> run = frugalfl.simulate("digits", rounds=10, clients=8)  # doctest: +SKIP
        >>> run.rounds.to_pandas().plot("round", "accuracy")  # doctest: +SKIP
    """
    texts = [*changes, *(_as_typed(name, value) for name, value in settings.items())]
    again = None if resume is None else Path(resume)
    folder, checked, again = chosen(
        None if app is None else os.fspath(app), texts, again, Path(runs)
    )

    import torch

    from frugalfl_server.run.open_run import Run
    from frugalfl_sim.simulate import simulate_app

    threads = torch.get_num_threads()
    try:
        return Run(simulate_app(folder, checked, Path(runs), baseline, slim, again).path)
    finally:
        torch.set_num_threads(threads)  # the simulation takes one, and the notebook goes on


def _as_typed(name: str, value: object) -> str:
    """Return a setting as it is typed on the command line.

    >>> _as_typed("clients_per_round", 4), _as_typed("uplink", "zstd")
    ('clients-per-round=4', 'uplink="zstd"')
    """
    return f"{name.replace('_', '-')}={json.dumps(value, ensure_ascii=False, default=str)}"
