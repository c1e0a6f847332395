"""Texts that devices, servers and other people's files send to whoever reads them."""

from __future__ import annotations

import contextlib
import csv
import http.server
import io
import json
import threading
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from flwr.app import Context, Error, Message, RecordDict
from machines import Machines

from attacking.files import frugalfl, new_run
from attacking.outcome import Outcome
from frugalfl.energy import EnergyRecord, Reading, formats, packed_records
from frugalfl.energy.parquet import write_records
from frugalfl.energy.record_json import as_dict, canonical, from_dict
from frugalfl.modules import read_parameters
from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl_client.app import app as client_app
from frugalfl_client.device import forget_devices
from frugalfl_server.export.c_array import c_array
from frugalfl_server.phases.initial_model import initial_model
from frugalfl_server.rounds.flower_arrays import pack
from frugalfl_server.rounds.flower_strategies import strategy_of
from frugalfl_server.rounds.strategy import FrugalStrategy
from frugalfl_server.run.app_directory import importable, quiet_flower
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.progress import Progress
from frugalfl_sim.engine.grid import InProcessGrid

DIGITS = Path(__file__).parents[2] / "simulations" / "digits"
#: A new title, an emptied screen, red (in seven and in eight bits), a turned reading direction,
#: letters without width, new lines that look like ours, markup, a program, and an attribute.
NASTY = (
    "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe\u200b\ufe0f\r\nerror: all is lost\x08\x7f\u2028"
    "[bold red]x[/][/nope][link=http://evil]y[/link]<script>alert(1)</script>"
    "\"><img src=x onerror='alert(2)'>]]>--></svg>"
)
_FORMULAS = ("=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "x;=1+1")
#: What no record may say, by field; its numerals are not ours.
_NO_SUCH_THINGS = {
    "client": ["../../x", "-1", "\u0663", "1\n2", "=1", "", "9" * 30, NASTY],
    "device": [NASTY],
    "run": ["a" * 301],
    "link": ["\x9b2J"],
    "software": ["\u202e"],
    "phase": ["\u200b"],
}
_RECORD = EnergyRecord(
    run="run", client="3", round=1, phase="train", device="generic", start_unix_s=1.0, wall_s=1.0,
    cpu_s=1.0, readings=(Reading("cpu", 1.0, None, False, "cpu-time", "s", "process", 0.5),),
)  # fmt: skip


def attacks(folder: Path, quick: bool) -> Iterator[Outcome]:
    """Try them all."""
    yield from clients(folder / "clients", rounds=1 if quick else 3)
    yield a_servers_words(folder / "node")
    yield from a_foreign_run(folder / "runs")
    yield from records()
    yield csv_formulas()
    yield from names(folder / "names")


def harmless(text: str) -> bool:
    """Say whether a terminal does nothing but show a text: letters, and line feeds of ours."""
    kinds = {unicodedata.category(letter) for letter in text if letter != "\n"}
    return not kinds & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} and "\ufe0f" not in text


def lying(message: Message, context: Context) -> Message:
    """Train, then say something nasty, each client somewhere else; client 3 is honest."""
    reply = client_app(message, context)
    ledger: Any = None if reply.has_error() else reply.content["ledger"]
    match context.node_config["partition-id"]:
        case 0:
            return Message(Error(1, NASTY * 50), reply_to=message)
        case 1:
            ledger["notice"], ledger["link"] = NASTY, NASTY
        case 2:
            ledger["trainer"] = NASTY
        case 4:
            ledger["battery"], ledger["charging"] = 50.0, NASTY
        case 5:
            record = replace(_RECORD, phase=NASTY)
            ledger["records"] = packed_records.pack([record])
        case 6:
            reply.content = RecordDict({NASTY: reply.content["metrics"]})
    return reply


def clients(folder: Path, rounds: int) -> Iterator[Outcome]:
    """Run a real strategy with clients that say nasty things; look at screen and log."""
    log = folder / "progress.log"
    settings = Settings.of(clients=7, clients_per_round=7, rounds=rounds, local_epochs=1)
    screen = io.StringIO()
    with importable(DIGITS), quiet_flower(), contextlib.redirect_stderr(screen):
        progress = Progress(rounds, log=log)
        folder.mkdir()
        module = initial_model(load_task(settings.run.task), settings)
        model = read_parameters(module)
        grid = InProcessGrid(lying, 7, settings.as_config(), folder / "devices")  # type: ignore[arg-type]
        strategy = FrugalStrategy.wrap(strategy_of(settings), settings)
        judge = _judge(strategy, progress)
        with progress.listening():
            strategy.start(grid, pack(model), num_rounds=rounds, evaluate_fn=judge)
        forget_devices()
    said = [screen.getvalue(), log.read_text()]
    lines = [line for line in said[1].splitlines() if "node" in line]
    went_on = "accuracy of the honest" in said[1]
    yield Outcome(
        "escape codes in error, notice, link, trainer, battery, ledger",
        all(map(harmless, said)) and len(lines) >= 5, max(lines, key=len, default=""), went_on,
    )  # fmt: skip
    yield Outcome(
        "an error text of 13 kB", all(len(line) < 2100 for line in said[1].splitlines()),
        f"longest line: {max(map(len, said[1].splitlines()))} letters", went_on,
    )  # fmt: skip


def _judge(strategy: FrugalStrategy, progress: Progress) -> Any:
    """Say after each round what was noted in it, as the server does."""

    def judge(number: int, _: Any) -> None:
        if not number:  # before the first round
            return
        for failure in strategy.traffic.failures:
            progress.warn(failure)
        if strategy.traffic.updates:
            progress.say(f"round {number}: accuracy of the honest counts")

    return judge


class _Liar(http.server.BaseHTTPRequestHandler):
    """A SuperLink that refuses everything with a nasty text."""

    def do_POST(self) -> None:
        body = json.dumps({"code": 7, "detail": NASTY}).encode()
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(403)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def a_servers_words(folder: Path) -> Outcome:
    """Let a real node meet a SuperLink whose refusals are nasty."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Liar)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    machines = Machines(folder)
    try:
        node = machines.lean(0, 1, superlink=f"127.0.0.1:{server.server_port}")
        node.wait(60)
    finally:
        machines.stop()
        server.shutdown()
        server.server_close()
    line = node.said.strip().rpartition("\n")[2]
    return Outcome("escape codes in a SuperLink's refusal", harmless(node.said) and "all is lost" in
                   line, line)  # fmt: skip


class _Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.active: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what would run, or fetch something."""
        for name, value in attrs:
            if name.startswith("on") or str(value).strip().lower().startswith(
                ("javascript", "http")
            ):
                self.active.append(f"{tag} {name}={value}")
        if tag in ("script", "img", "iframe", "object", "base", "link"):
            self.active.append(tag)

    def handle_data(self, data: str) -> None:
        """Keep the words."""
        self.words.append(data)


def make_nasty(run: RunDirectory) -> None:
    """Put nasty texts into every text field of a run's files that holds any text."""
    rows = {
        "federation": ["frugalfl"], "phase": ["train"], "round": [1], "accuracy": [0.5],
        "loss": [1.0], "clients": [4], "updates": [4], "uplink_bytes": [10],
        "downlink_bytes": [10], "energy_measured_j": [None], "energy_estimated_j": [1.0],
        "wall_s": [1.0], f"metric_{NASTY}": [0.5],
    }  # fmt: skip
    pq.write_table(pa.table(rows), run.path / "rounds.parquet")
    phase = "[/nope]<script>alert(3)</script>\"onload='x'"
    reading = replace(_RECORD.readings[0], source=phase, method=phase)
    spoken = replace(_RECORD, phase=phase, device=phase, link=phase, readings=(reading,))
    write_records(run.path / "energy.parquet", [spoken])
    about = run.read_json("run.json")
    about |= {"task": NASTY, "versions": {NASTY: NASTY}, "host": {"system": NASTY, "cpus": NASTY}}
    about["settings"] |= {"start-from": NASTY, NASTY: NASTY}
    run.write_json("run.json", about)
    told = {"status": "failed", "reason": NASTY, "skipped": NASTY, "stopped": NASTY}
    run.write_json("summary.json", told)
    (run.path / "<img src=x onerror=alert(4)>.txt").write_text("x")


def a_foreign_run(folder: Path) -> Iterator[Outcome]:
    """Show a run that somebody else made up, with the real commands."""
    run = new_run(folder)
    make_nasty(run)
    done = frugalfl("report", run.path)
    page = _Page((run.path / "report.html").read_text())
    words = "".join(page.words)
    held = not page.active and harmless(words) and "alert(1)" in words
    yield Outcome("programs in every text of a report's page", held, "; ".join(page.active) or
                  "shown as text")  # fmt: skip
    for verb, said in (("report", done), ("energy", frugalfl("energy", run.path))):
        shown = said.stdout + said.stderr
        clean = not said.returncode and harmless(shown) and "Traceback" not in shown
        line = next((one for one in shown.splitlines() if "nope" in one or "lost" in one), shown)
        yield Outcome(f"escape codes and markup in frugalfl {verb}", clean, line)
    wild = as_dict(_RECORD) | {"device": NASTY}
    table = pa.Table.from_pylist([{**_flat(wild)}])
    pq.write_table(table, run.path / "energy.parquet")
    said = frugalfl("energy", run.path)
    line = said.stderr.strip()
    yield Outcome("escape codes in a foreign energy table", bool(said.returncode) and harmless(line)
                  and "cannot read" in line, line)  # fmt: skip


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    grid = dict.fromkeys(("grid_region", "grid_g_per_kwh", "grid_year", "grid_table"))
    return {name: value for name, value in values.items() if name != "grid"} | grid


def records() -> Iterator[Outcome]:
    """Send energy records whose texts are no texts, and whose client is no number."""
    for field, values in _NO_SUCH_THINGS.items():
        lines = [_refused(as_dict(_RECORD) | {field: value}) for value in values]
        yield Outcome(f"a record whose {field} is no such thing", all(lines) and all(
            map(harmless, lines)), lines[0])  # fmt: skip


def _refused(values: dict[str, Any]) -> str:
    try:
        from_dict(json.loads(canonical(values)))
    except ValueError as error:
        return str(error)
    return ""


def csv_formulas() -> Outcome:
    """Put formulas where a record has texts, and read the table as a spreadsheet does."""
    spoken = [
        replace(_RECORD, run=text, phase=text, device=text, link=text, software=text)
        for text in _FORMULAS
    ]
    cells = list(csv.reader(io.StringIO(formats.to_csv(spoken, None))))
    # Some countries' spreadsheets take a semicolon for the separator.
    parts = [part.strip() for row in cells for cell in row for part in cell.split(";")]
    live = [part for part in parts if part[:1] in ("=", "+", "-", "@", "\t", "\r") and part]
    return Outcome("formulas in every text of a CSV table", not live, str(live or cells[1][0]))


def names(folder: Path) -> Iterator[Outcome]:
    """Make folders and C names of names that climb, or close a comment."""
    for task in ("../../evil", "/etc/evil", "..", "a\0b\nc", "x" * 500, NASTY):
        run = RunDirectory.create(folder / "runs", task, Settings(), app=None)
        inside = run.path.parent == (folder / "runs").resolve() and harmless(run.name)
        yield Outcome(f"a run named {task!r:.24}", inside and len(run.name) < 130, run.name)
    header, source = c_array(b"model", "*/ int main(){} /*" + NASTY, None)
    held = "main()" not in header + source and harmless(header + source)
    yield Outcome("a model's name that closes a C comment", held, header.splitlines()[0])
