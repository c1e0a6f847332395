"""A run on a SuperLink: its app made, sent there, and followed to its end."""

from __future__ import annotations

import json
import shutil
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, NoReturn

from frugalfl.errors import RunError
from frugalfl.settings import Settings
from frugalfl_server.files import changed_ns, short_path
from frugalfl_server.progress import LOG
from frugalfl_server.run_directory import RunDirectory
from frugalfl_server.serve.again import DiedError, FailedError, Watch
from frugalfl_server.serve.processes import Flower, Tls

#: Flower's name of the connection.
_CONNECTION = "serve"
#: What Flower packs of an app; anything else stays where it is.
_PACKED = (".py", ".toml", ".md", ".yaml", ".yml", ".json", ".jsonl")
#: Between two looks at the run's directory, and at its state on the SuperLink (s).
_LOOK_S, _ASK_S = 0.3, 10.0
#: What the SuperLink says of a run whose ServerApp sent no sign of life for 60 s.
_UNHEARD = "No heartbeat"
#: Most seconds that the report may take once the run is over.
_REPORT_S = 120.0


def connect(flower: Flower, address: str, tls: Tls | None) -> None:
    """Tell Flower's command line where the SuperLink is."""
    home = flower.state / "flwr"
    home.mkdir(parents=True, exist_ok=True)
    trust = "insecure = true" if tls is None else f"root-certificates = {json.dumps(str(tls.ca))}"
    (home / "config.toml").write_text(
        f"[superlink]\ndefault = {json.dumps(_CONNECTION)}\n\n"
        f"[superlink.{_CONNECTION}]\naddress = {json.dumps(address)}\n{trust}\n",
        encoding="utf-8",
    )


def register(flower: Flower, keys: Path, say: Callable[[str], None]) -> None:
    """Let the nodes join whose public keys are in a folder.

    Raises:
        RunError: The SuperLink refuses one.
    """
    for key in sorted(keys.glob("*.pub")):
        done = flower.call("supernode", "register", str(key), _CONNECTION)
        said = " ".join((done.stdout + done.stderr).split())
        if done.returncode and "already" not in said.lower():
            raise RunError(f"{key} cannot be registered: {said[-200:]}")
        say(f"node {key.stem}: may join")


def make_app(app: Path, settings: Settings, folder: Path) -> Path:
    """Copy what Flower packs of an app, with all settings in it; return the copy.

    ``flwr run`` can only change keys that an app lists itself.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in app.iterdir():
        if file.suffix in _PACKED and file.is_file():
            shutil.copy(file, folder)
    project = tomllib.loads((app / "pyproject.toml").read_text(encoding="utf-8"))
    about, flwr = project["project"], project["tool"]["flwr"]["app"]
    tables: dict[str, dict[str, Any]] = {
        "project": {key: about[key] for key in ("name", "version", "description") if key in about},
        "tool.flwr.app": {"publisher": flwr["publisher"]},
        "tool.flwr.app.components": flwr["components"],
        "tool.flwr.app.config": settings.as_config(),
    }
    text = "\n".join(
        "\n".join([f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in rows.items()), ""])
        for name, rows in tables.items()
    )
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return folder


def submit(flower: Flower, app: Path) -> str:
    """Send an app to the SuperLink; return Flower's number of the run.

    Raises:
        RunError: The SuperLink refuses it, or does not answer.
    """
    done = flower.call("run", str(app), _CONNECTION, "--format", "json")
    try:
        return str(json.loads(done.stdout)["run-id"])
    except (ValueError, KeyError) as error:
        raise RunError(f"the SuperLink does not take the run: {_last_words(done)}") from error


def stop(flower: Flower, number: str) -> None:
    """Tell the SuperLink that nobody waits for a run any more, if it does not know yet."""
    flower.call("stop", number, _CONNECTION)


def follow(
    flower: Flower, number: str, run: RunDirectory, watch: Watch, say: Callable[[str], None],
    meanwhile: Callable[[], None],
) -> None:  # fmt: skip
    """Show what the ServerApp says, until the run is over.

    Args:
        flower: To ask for the run.
        number: Flower's number of the run.
        run: Its directory, written by the ServerApp.
        watch: Of that directory, since before the app was sent.
        say: Takes its lines.
        meanwhile: Called again and again.

    Raises:
        DiedError: The ServerApp was killed.
        FailedError: The ServerApp ended with an error.
        RunError: Its app could not begin.
    """
    log, summary = run.path / LOG, run.path / "summary.json"
    at, before = _length(log), changed_ns(summary)
    asked_s = time.monotonic()
    while changed_ns(summary) == before:
        time.sleep(_LOOK_S)
        meanwhile()
        at = _show(log, at, say)
        # What it has to say, the ServerApp writes before it lets go of the run.
        if watch.gone() and changed_ns(summary) == before:
            raise DiedError("the ServerApp died")
        if time.monotonic() - asked_s > _ASK_S:
            asked_s = time.monotonic()
            state, why = _state(flower, number)
            if _UNHEARD in why:
                _give_up(watch, say)
            if state.startswith("finished") and changed_ns(summary) == before:
                raise RunError(
                    f"the ServerApp ended in the middle of the run ({state}); go on with: "
                    f"frugalfl serve --resume {short_path(run.path)}"
                )
    _show(log, at, say)
    figures = run.read_json("summary.json")
    if figures["status"] != "finished":
        if _UNHEARD in _state(flower, number)[1]:
            _give_up(watch, say)  # it failed because the SuperLink did not know it any more
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


def _give_up(watch: Watch, say: Callable[[str], None]) -> NoReturn:
    """End a ServerApp that the SuperLink has given up.

    Raises:
        DiedError: Always: it is to be started again.
    """
    say(
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


def _show(log: Path, at: int, say: Callable[[str], None]) -> int:
    """Hand on the whole lines of a log from a place on; return the place after them."""
    if not log.exists():
        return at
    with log.open("rb") as file:
        file.seek(at)
        lines, newline, _ = file.read().rpartition(b"\n")
    for line in lines.decode(errors="replace").splitlines():
        say(line)
    return at + len(lines) + len(newline)


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
