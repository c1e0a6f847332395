"""A whole run on a SuperLink: a run directory, the SuperLink, the ServerApp, to the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from frugalfl.atomic import make_private_folder, open_to_others
from frugalfl.idle import IDLE_S
from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl_server.phases.check_task import check_task
from frugalfl_server.phases.choose_refresh import choose_refresh
from frugalfl_server.phases.initial_model import pin_start
from frugalfl_server.run.app_directory import importable
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.kept_app import keep_app
from frugalfl_server.run.pack_app import pack
from frugalfl_server.run.resume import to_resume, with_choices_of
from frugalfl_server.serve.again import Attempts, DiedError, EndedError, FailedError, Watch
from frugalfl_server.serve.entrance import Entrance
from frugalfl_server.serve.interrupted import telling_how_to_go_on
from frugalfl_server.serve.key_folder import Keys
from frugalfl_server.serve.place import Place
from frugalfl_server.serve.processes import Flower, SuperLink
from frugalfl_server.serve.submitted import connect, follow, register, stop, submit

_log = logging.getLogger(__name__)


def serve_app(
    app: Path, settings: Settings, runs: Path, resume: Path | None, place: Place
) -> RunDirectory:
    """Run an app's federation with the nodes that connect, and return the run directory.

    Args:
        app: Folder of a Flower app.
        settings: Its settings.
        runs: Folder for the run directory.
        resume: A stopped run to go on with.
        place: Where to serve.

    Raises:
        FrugalFLError: What the branches of :mod:`frugalfl.errors` say; what was finished is in the
            run directory.
    """
    state = place.state.resolve()
    make_private_folder(state)
    if warning := open_to_others(state):
        _log.info(warning)
    packed = pack(app, state / "app")
    with importable(app):
        task = load_task(settings.run.task)
        settings = pin_start(settings, task).changed(resume="")
        if resume is None:
            settings, chosen = choose_refresh(task, settings)
            check_task(task, settings)
            run = RunDirectory.create(runs, task.name, settings, app, chosen)
            keep_app(run, app)
        else:
            settings = with_choices_of(resume, settings)
            run = to_resume(resume, settings)
    flower = Flower(state)
    own = None
    if not place.superlink:
        own = SuperLink(flower, place.tls, place.keys is not None)
    with own or nullcontext():
        connect(flower, place.superlink if own is None else own.address, place.tls)
        keys = None
        if place.keys is not None:
            keys = Keys(place.keys, partial(register, flower))
        _log.info(packed.line)
        with telling_how_to_go_on(run), Entrance(place, own, keys, state) as entrance:
            settings = settings.changed(resume=str(run.path))
            begin = partial(submit, flower, packed.folder, settings)
            _run_to_the_end(begin, flower, run, settings.rounds.clients_per_round, own, entrance)
    return RunDirectory.open(run.path)


def _run_to_the_end(
    begin: Callable[[], str],
    flower: Flower,
    run: RunDirectory,
    nodes: int,
    own: SuperLink | None,
    entrance: Entrance,
) -> None:
    """Run an app, again and again if its ServerApp is killed, until it has said its last word.

    A SuperLink gives each message once. One that dies, or a front that does, may have lost some,
    for which a round would wait to its deadline; and Flower's Grid may raise. So the ServerApp is
    ended as well, and does the round anew, with what was finished before it.
    """
    revived = 0

    def tend() -> None:
        if own is not None:
            own.revive()
        entrance.tend()

    def deaths() -> int:
        return entrance.revived + (0 if own is None else own.revived)

    def meanwhile() -> None:
        tend()
        if deaths() != revived:
            watch.end()

    attempts = Attempts(run)
    watch, number = Watch(run), begin()
    _log.info(
        f"waiting for {nodes} nodes; an idle node asks every {IDLE_S:.0f} s, so the first round "
        "may take that much longer"
    )
    while True:
        try:
            return follow(flower, number, run, watch, meanwhile)
        except (DiedError, EndedError, FailedError) as error:
            tend()
            alone = deaths() == revived
            if alone and not isinstance(error, DiedError):
                raise
            wait_s, told = attempts.next("died" if alone else "was cut off from its nodes")
            _log.info(told)
            time.sleep(wait_s)
            tend()
            stop(flower, number)
            revived = deaths()
            watch, number = Watch(run), begin()
