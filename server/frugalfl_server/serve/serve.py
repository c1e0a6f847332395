"""A whole run on a SuperLink: a run directory, the SuperLink, the ServerApp, to the end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl_server.apps import importable
from frugalfl_server.resume import to_resume
from frugalfl_server.run_directory import RunDirectory
from frugalfl_server.serve.processes import Flower, SuperLink, Tls
from frugalfl_server.serve.submitted import connect, follow, make_app, register, submit
from frugalfl_server.start import pin_start


@dataclass(frozen=True)
class Place:
    """Where to serve.

    Attributes:
        host: Address that the SuperLink listens on.
        port: Its port.
        tls: Certificates; ``None``: without TLS.
        keys: Folder of public keys; only their nodes may join. ``None``: any node.
        superlink: Address of one that runs already; empty: it is started.
        state: Folder for its database and what it unpacks.
    """

    host: str
    port: int
    tls: Tls | None
    keys: Path | None
    superlink: str
    state: Path


def serve_app(
    app: Path, settings: Settings, runs: Path, resume: Path | None, place: Place,
    say: Callable[[str], None],
) -> RunDirectory:  # fmt: skip
    """Run an app's federation with the nodes that connect, and return the run directory.

    Args:
        app: Folder of a Flower app.
        settings: Its settings.
        runs: Folder for the run directory.
        resume: A stopped run to go on with.
        place: Where to serve.
        say: Takes lines for a person.

    Raises:
        FrugalFLError: What the branches of :mod:`frugalfl.errors` say; what was finished is in the
            run directory.
    """
    with importable(app):
        task = load_task(settings.task)
        settings = replace(pin_start(settings, task), resume="")
        run = (
            RunDirectory.create(runs, task.name, settings, app)
            if resume is None
            else to_resume(resume, settings)
        )
    state = place.state.resolve()
    state.mkdir(parents=True, exist_ok=True)
    flower = Flower(state)
    own = None
    if not place.superlink:
        own = SuperLink(
            flower, place.host, place.port, place.tls, place.keys is not None, say
        )  # fmt: skip
    with own or nullcontext():
        address = place.superlink if own is None else own.address
        connect(flower, address, place.tls)
        if place.keys is not None:
            register(flower, place.keys, say)
        say(f"SuperLink at {address if own is None else f'{place.host}:{place.port}'}")
        folder = make_app(app, replace(settings, resume=str(run.path)), state / "app")
        number = submit(flower, folder)
        follow(flower, number, run, say, own.revive if own is not None else lambda: None)
    return RunDirectory.open(run.path)
