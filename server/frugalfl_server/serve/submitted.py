"""A run on a SuperLink: its app made, sent there, and followed to its end."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import NoReturn

from frugalfl.atomic import write_atomically
from frugalfl.errors import RunError
from frugalfl.settings import Settings
from frugalfl_server.run.app_directory import read_settings
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.file_times import changed_ns, short_path
from frugalfl_server.run.pack_app import toml_lines
from frugalfl_server.run.progress import LOG
from frugalfl_server.serve.again import DiedError, EndedError, FailedError, Watch
from frugalfl_server.serve.processes import Flower, Tls

_log = logging.getLogger(__name__)

#: Flower's name of the connection.
_CONNECTION = "serve"
#: Between two looks at the run's directory, and at its state on the SuperLink (s).
_LOOK_S, _ASK_S = 0.3, 10.0
#: What the SuperLink says of a run whose ServerApp sent no sign of life for 60 s.
_UNHEARD = "No heartbeat"
#: Most seconds that the report may take once the run is over.
_REPORT_S = 120.0


def connect(flower: Flower, address: str, tls: Tls | None) -> None:
    """Tell Flower's command line where the SuperLink is."""
    home = flower.state / "flwr"
    trust = "insecure = true" if tls is None else f"root-certificates = {json.dumps(str(tls.ca))}"
    text = (
        f"[superlink]\ndefault = {json.dumps(_CONNECTION)}\n\n"
        f"[superlink.{_CONNECTION}]\naddress = {json.dumps(address)}\n{trust}\n"
    )
    write_atomically(home / "config.toml", text.encode())


def register(flower: Flower, key: Path) -> None:
    """Make a node's public key known to the SuperLink.

    Raises:
        RunError: It refuses the key.
    """
    done = flower.call("supernode", "register", str(key), _CONNECTION)
    said = " ".join((done.stdout + done.stderr).split())
    if done.returncode and "already" not in said.lower():
        raise RunError(f"{key} cannot be registered: {said[-200:]}")


def submit(flower: Flower, app: Path, settings: Settings) -> str:
    """Send an app to the SuperLink; return Flower's number of the run.

    Args:
        flower: How Flower is called.
        app: What :func:`frugalfl_server.run.pack_app.pack` has made.
        settings: Those of the run; what they have otherwise than the app goes along.

    Raises:
        RunError: The SuperLink refuses it, or does not answer.
    """
    own = read_settings(app).as_config()
    other = {key: value for key, value in settings.as_config().items() if own[key] != value}
    changes = flower.state / "run.toml"
    write_atomically(changes, "\n".join(toml_lines(other)).encode())
    done = flower.call(
        "run", str(app), _CONNECTION, "--format", "json", "--run-config", str(changes)
    )
    try:
        return str(json.loads(done.stdout)["run-id"])
    except (ValueError, KeyError) as error:
        raise RunError(f"the SuperLink does not take the run: {_last_words(done)}") from error


def stop(flower: Flower, number: str) -> None:
    """Tell the SuperLink that nobody waits for a run any more, if it does not know yet."""
    flower.call("stop", number, _CONNECTION)


def follow(
    flower: Flower, number: str, run: RunDirectory, watch: Watch, meanwhile: Callable[[], None]
) -> None:
    """Show what the ServerApp says, until the run is over.

    Args:
        flower: To ask for the run.
        number: Flower's number of the run.
        run: Its directory, written by the ServerApp.
        watch: Of that directory, since before the app was sent.
        meanwhile: Called again and again.

    Raises:
        DiedError: The ServerApp was killed.
        FailedError: The ServerApp ended with an error.
        EndedError: Its app could not begin.
    """
    log, summary = run.path / LOG, run.path / "summary.json"
    at, before = _length(log), changed_ns(summary)
    asked_s = time.monotonic()
    while changed_ns(summary) == before:
        time.sleep(_LOOK_S)
        meanwhile()
        at = _show(log, at)
        # What it has to say, the ServerApp writes before it lets go of the run.
        if watch.gone() and changed_ns(summary) == before:
            raise DiedError("the ServerApp died")
        if time.monotonic() - asked_s > _ASK_S:
            asked_s = time.monotonic()
            state, why = _state(flower, number)
            if _UNHEARD in why:
                _give_up(watch)
            if state.startswith("finished") and changed_ns(summary) == before:
                raise EndedError(
                    f"the ServerApp ended in the middle of the run ({state}); go on with: "
                    f"frugalfl serve --resume {short_path(run.path)}"
                )
    _show(log, at)
    figures = run.read_json("summary.json")
    if figures["status"] != "finished":
        if _UNHEARD in _state(flower, number)[1]:
            _give_up(watch)  # it failed because the SuperLink did not know it any more
        raise FailedError(f"the run {figures['status']}: {figures['reason']}")
    ends_s = time.monotonic() + _REPORT_S
    while time.monotonic() < ends_s and not _state(flower, number)[0].startswith("finished"):
        time.sleep(_LOOK_S)


def _last_words(done: CompletedProcess[str]) -> str:
    """Return why ``flwr`` failed, without the warnings before it, in one line."""
    try:
        said = str(json.loads(done.stdout)["error-message"])
    except (ValueError, KeyError, TypeError):
        said = done.stderr + done.stdout
    return " ".join(said.strip().split("\n\n")[-1].split())[-300:]


def _give_up(watch: Watch) -> NoReturn:
    """End a ServerApp that the SuperLink has given up.

    Raises:
        DiedError: Always: it is to be started again.
    """
    _log.info(
        "the SuperLink has not heard of the ServerApp for a minute (stopped, or this machine is "
        "short of processor or memory) and has given it up: it is ended"
    )
    watch.end()
    raise DiedError("the ServerApp was given up")


def _state(flower: Flower, number: str) -> tuple[str, str]:
    """Return Flower's words for the state of a run, and why; empty: the SuperLink does not say."""
    done = flower.call("ls", "--run-id", number, _CONNECTION, "--format", "json")
    try:
        about = json.loads(done.stdout)["runs"][0]
        return str(about["status"]), str(about.get("status-details", ""))
    except (ValueError, KeyError, IndexError):
        return "", ""


def _show(log: Path, at: int) -> int:
    """Show the whole lines of a log from a place on; return the place after them."""
    if not log.exists():
        return at
    with log.open("rb") as file:
        file.seek(at)
        lines, newline, _ = file.read().rpartition(b"\n")
    for line in lines.decode(errors="replace").splitlines():
        _log.info(line)
    return at + len(lines) + len(newline)


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
