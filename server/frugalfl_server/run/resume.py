"""Going on with a run that was stopped, at any moment: to the same bits as if it had not been.

After every round all that the next one depends on is in one file (:mod:`.checkpoint`). What came
after the last checkpoint is done again. A device may have done its part of that already: it is
told with which rounds the run was begun again, and goes back to what it held before
(``kept_runs.py`` of the client).
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frugalfl.atomic import open_private
from frugalfl.blocks import Parameters
from frugalfl.energy import SERVER
from frugalfl.errors import RunError, UsageError
from frugalfl.settings import Settings
from frugalfl_server.run.checkpoint import CANNOT, FILE, Tree, read_checkpoint
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.file_times import short_path
from frugalfl_server.run.sealed import reading, write_sealed
from frugalfl_server.run.versions import versions

_log = logging.getLogger(__name__)
#: With which round the run was begun, and each time resumed.
ATTEMPTS = "attempts.json"
#: What is known of training programs that were compiled for clients.
COMPILED = "programs.json"
#: Locked, with its number in it, by the process that works on the run.
LOCK = "lock"
#: Phases that change the model.
_PHASES = ("train", "recover")
#: Packages whose versions decide about bits.
_DECIDE_BITS = ("frugalfl", "flwr", "numpy", "torch")


@dataclass(frozen=True)
class StoppedAt:
    """Where a run was stopped.

    Attributes:
        phase: ``train``, ``recover``, or ``calibrate`` once that is done.
        done: Rounds of the phase that are over.
        model: Its newest model.
        tree: All of its checkpoint.
    """

    phase: str
    done: int
    model: Parameters
    tree: Tree

    @property
    def moved(self) -> Parameters:
        """The tensors that the rounds move: the model's own, or those of a subspace."""
        moved: Parameters = self.tree.get("moved", self.model)
        return moved


def to_resume(path: Path, settings: Settings) -> RunDirectory:
    """Open a run to go on with it.

    Args:
        path: Its directory; ``runs/latest`` is the newest one.
        settings: What it is to go on with.

    Raises:
        RunError: There is no such run, or it is finished.
        UsageError: The settings are not the run's own; the message names the first that differs.
    """
    run = RunDirectory.open(path)
    # A run of an earlier version lacks the keys that are new since: it ran by their defaults.
    theirs = Settings().as_config() | run.read_json("run.json")["settings"]
    for key, value in settings.as_config().items():
        if key != "resume" and value != theirs.get(key):
            begun = f"{short_path(run.path)} was begun with {key} = {theirs.get(key)!r}"
            if key in run.chosen:  # flwr run chooses nothing, and takes auto for full
                raise UsageError(
                    f"{begun}, chosen in place of 'auto', not {value!r}: to resume it set {key} = "
                    f"{theirs.get(key)!r}, or resume it with frugalfl serve or frugalfl simulate"
                )
            raise UsageError(
                f"{begun}, not {value!r}: a run is resumed with its own settings; for others begin "
                f"a new one, with start-from = {short_path(run.path)} for its model"
            )
    refuse_unresumable(run)
    return run


def with_choices_of(path: Path, settings: Settings) -> Settings:
    """Return settings to go on with a run, ``auto`` replaced by what the run has made of it.

    Args:
        path: Directory of the run.
        settings: What it is to go on with.

    Raises:
        RunError: There is no such run.
    """
    asked = {
        "refresh": settings.wire.asks_auto,
        "trainer": settings.train.trainer == "auto",
        "engine": settings.simulation.engine == "auto",
    }
    run = RunDirectory.open(path)
    own, chosen = run.read_json("run.json")["settings"], run.chosen
    return settings.changed(**{key: own[key] for key in asked if asked[key] and key in chosen})


def refuse_unresumable(run: RunDirectory) -> None:
    """Say so where there is nothing left to do, or no way to go on.

    Raises:
        RunError: The run is finished, or was buffered: what clients were at work on is not known
            any more.
    """
    if run.status()[0] == "finished":
        raise RunError(
            f"{short_path(run.path)} is finished: there is nothing to resume; look at it with "
            f"frugalfl report {short_path(run.path)}"
        )
    if run.read_json("run.json")["settings"].get("asynchronous"):
        raise RunError(
            f"{short_path(run.path)} is asynchronous, and such runs cannot be resumed; begin a "
            f"new one with start-from={short_path(run.path)}, for its newest model"
        )


def settings_of(path: Path) -> tuple[RunDirectory, Settings]:
    """Open a run and return the settings that it was begun with.

    Raises:
        RunError: There is no such run.
        UsageError: Its settings are none of this version's.
    """
    run = RunDirectory.open(path)
    return run, Settings.of(run.read_json("run.json")["settings"])


@contextmanager
def claimed(run: RunDirectory) -> Iterator[None]:
    """Keep other processes from working on a run while the ``with`` block lasts.

    Raises:
        RunError: Another one does, or its lock cannot be opened.
    """
    try:
        handle = open_private(run.path / LOCK, os.O_RDWR | os.O_APPEND)
    except OSError as error:
        raise RunError(f"cannot lock {short_path(run.path)}: {error}") from error
    with os.fdopen(handle, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise RunError(
                f"process {file.read().strip()} still works on {short_path(run.path)}; wait for "
                "it, or end it first"
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def begin(run: RunDirectory) -> tuple[StoppedAt | None, tuple[int, ...]]:
    """Begin a run, or go on with it: bring its tables to its checkpoint, and note the attempt.

    Returns:
        Where it was stopped, ``None``: before the end of its first round; and with which rounds it
        was resumed so far.

    Raises:
        RunError: It cannot be resumed.
    """
    stopped = None
    if os.path.lexists(run.path / FILE):
        stopped = go_back_to_checkpoint(run)
    elif len(run.rounds) > 1 + any(record.round == 0 for record in run.rounds):
        raise RunError(
            f"{short_path(run.path)} has {len(run.rounds)} rounds and no {FILE}: {CANNOT}"
        )
    else:  # its first round may be in the tables, and its checkpoint not there yet
        run.rounds, run.heads = [], []
        # What the server did before the first round was done; what follows it is done again.
        run.energy = [one for one in run.energy if one.client == SERVER and one.round == 0]
    first = 1 + max((record.round for record in run.rounds), default=0)
    if stopped is not None:  # a tree may take several exchanges, of which clients count each
        first = stopped.tree.get("next", first)
    firsts = [*_attempts(run), first]
    write_sealed(run.path / ATTEMPTS, {"first_rounds": firsts}, durable=True)
    return stopped, tuple(firsts[1:])


def go_back_to_checkpoint(run: RunDirectory) -> StoppedAt:
    """Make the tables and the newest model of a run what its checkpoint says, and return that.

    Raises:
        RunError: The checkpoint is damaged, or the tables are older.
    """
    tree = read_checkpoint(run.path / FILE)
    with reading(run.path / FILE, CANNOT):
        return _stopped(run, tree)


def _stopped(run: RunDirectory, tree: Tree) -> StoppedAt:
    """Bring a run to its checkpoint: its tables, and its newest model, which may be older."""
    if tree.get("run", run.name) != run.name:
        raise ValueError(f"it is of the run {tree['run']!r:.80}")
    run.go_back_to(tree["tables"])
    stopped = StoppedAt(tree["phase"], tree["done"], tree["model"], tree)
    newest = [record for record in run.rounds if record.phase in _PHASES]
    if newest and stopped.model:  # trees are in files of their own
        run.checkpoint(stopped.model, phase=newest[-1].phase, round=newest[-1].round)
    return stopped


def tell_of_resuming(run: RunDirectory, stopped: StoppedAt | None) -> None:
    """Say from where a run goes on, and warn if that may not be to the same bits."""
    _log.info(
        f"resume after {len(run.rounds)} finished rounds"
        if stopped
        else "resume: no round was finished, so it begins with the first one"
    )
    changed = changed_versions(run, versions())
    if changed:
        _log.warning(f"{changed}: the bits may differ from those of an unbroken run")


def compilations_of(run: RunDirectory) -> list[dict[str, Any]]:
    """Return what ``programs.json`` says so far: compiled again, the same program is no news.

    Raises:
        RunError: It is damaged.
    """
    if not os.path.lexists(run.path / COMPILED):
        return []
    known = run.read_json(COMPILED)
    with reading(run.path / COMPILED):
        return [dict(one) for one in known["programs"]]


def changed_versions(run: RunDirectory, now: dict[str, Any]) -> str:
    """Name packages of other versions than the run was begun with; empty: none.

    Args:
        run: The run.
        now: Versions by package.
    """
    before = run.read_json("run.json")["versions"]
    changed = [
        f"{name} {before.get(name)} is {now.get(name)} now"
        for name in _DECIDE_BITS
        if before.get(name) != now.get(name)
    ]
    return ", ".join(changed)


def _attempts(run: RunDirectory) -> list[int]:
    if not os.path.lexists(run.path / ATTEMPTS):
        return []
    known = run.read_json(ATTEMPTS)
    with reading(run.path / ATTEMPTS):
        return list(map(int, known["first_rounds"]))
