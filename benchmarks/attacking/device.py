"""What a server tries on the devices that connect to it: other code, programs, bad bundles."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from machines import Machines, Process

from attacking.endless import endless_answers
from attacking.outcome import Outcome
from attacking.zips import hostile
from frugalfl.errors import ProgramError
from frugalfl.program import Program
from frugalfl.program_file import digest_of, pack
from frugalfl.settings import Settings
from frugalfl_client.approvals import Approvals
from frugalfl_client.node.app_error import AppError
from frugalfl_client.node.bundle import unpack
from frugalfl_client.pins import Pins
from frugalfl_client.programs import Programs
from frugalfl_client.store import Store

ECHO = Path(__file__).parents[1] / "echo"
#: What an app leaves behind if it runs on a device; the line goes into the echo's ClientApp.
MARK = "ran-here"
_EVIL = f'\n(Path(__file__).parents[3] / "{MARK}").touch()\n'
#: Hash of the app that the programs are of.
_APP = "a" * 64
#: Lines of a node about an app that it refuses, and about one that was altered on its disk.
REFUSED, ALTERED = "query.echo failed: the app ", "was altered|were altered"


def attacks(folder: Path, quick: bool) -> Iterator[Outcome]:
    """Try them all: real processes for apps, the real readers for bundles and programs."""
    yield from on_bundles(folder / "bundles")
    yield from on_programs(folder / "programs", program_of_two())
    yield from endless_answers(folder / "endless")
    links = Machines(folder / "machines")
    try:
        yield from on_apps(links)
    finally:
        links.stop()


def on_apps(links: Machines) -> Iterator[Outcome]:
    """Run an honest app, then others, on two nodes whose owners said nothing of apps."""
    links.superlink()
    nodes = [links.lean(number) for number in range(2)]
    for node in nodes:
        node.wait_for("connected as node")
    answers(links, ECHO)
    lines, told = {}, {}
    for what, name in {
        "an app with changed code, under the same name": "echo",
        "an evil app under another name": "other",
    }.items():
        before = [len(node.lines) for node in nodes]
        app = changed(links.folder / f"evil-{name}", _EVIL, name)
        told[what] = run_of(links, app).wait_for("echo 1: .* 2 answers").count("is not run")
        lines[what] = [
            node.wait_for(REFUSED, after=at) for node, at in zip(nodes, before, strict=True)
        ]
    went_on = answers(links, ECHO)
    for what, said in lines.items():
        yield Outcome(what, told[what] == 2 and not _marks(links), _words(said[0]), went_on)
    yield _altered(links, nodes[0], "app/echo.py", "a file of the app in a device's cache")
    nodes[0].kill()
    # The bundle is read when a node starts.
    yield _altered(links, links.lean(0), "bundle.fab", "the bundle in a device's cache")


def _altered(links: Machines, node: Process, file: str, what: str) -> Outcome:
    """Alter a file in the first node's cache, and run the app that it is of."""
    (kept,) = (links.folder / "device-0" / "node" / "apps").glob(f"*/{file}")
    kept.write_bytes(kept.read_bytes() + _EVIL.encode())
    before = len(node.lines)
    went_on = answers(links, ECHO)
    line = node.wait_for(ALTERED, after=before)
    return Outcome(f"{what} is altered", not _marks(links), _words(line), went_on)


def _marks(links: Machines) -> list[Path]:
    return list(links.folder.glob(f"device-*/**/{MARK}"))


def on_bundles(folder: Path) -> Iterator[Outcome]:
    """Unpack what was not made to be unpacked."""
    folder.mkdir(parents=True)
    for what, data in hostile().items():
        line = ""
        (folder / "deep").mkdir()
        try:
            unpack(data, folder / "deep" / "app")
        except AppError as error:
            line = str(error)
        outside = [path for path in folder.iterdir() if path.name != "deep"]
        shutil.rmtree(folder / "deep")
        yield Outcome(f"bundle: {what}", bool(line) and not outside and line.isprintable(), line)


def on_programs(folder: Path, program: Program) -> Iterator[Outcome]:
    """Send a device another program for the role of one that it ran: one byte is altered."""
    honest, evil = pack(program), pack(altered(program))
    settings = Settings.of(batch_size=program.batch)
    store, loaded = Store(folder / "store.sqlite"), Programs()
    pinned = Approvals(Pins(folder), app=_APP)
    loaded.trainer(digest_of(honest), honest, store, settings, pinned)
    for what, allowed in {
        "an altered training program, the first one pinned": pinned,
        "an altered training program, none of the list": Approvals(
            Pins(folder / "listed"), listed(folder / "approved.json", honest), _APP
        ),
    }.items():
        line = ""
        try:
            loaded.trainer(digest_of(evil), evil, store, settings, allowed)
        except ProgramError as error:
            line = str(error)
        kept = digest_of(evil) in store.programs()
        went_on = loaded.trainer(digest_of(honest), honest, store, settings, allowed) is not None
        yield Outcome(what, bool(line) and not kept, line, went_on)
    store.close()


def program_of_two() -> Program:
    """Return a training program for a model of two inputs and two classes."""
    import torch

    from frugalfl_server.cohort.training_programs import SIGNATURES
    from frugalfl_server.compiler import Sgd, trace_training

    module = torch.nn.Sequential(torch.nn.Linear(2, 2))
    return trace_training(
        module, loss="cross_entropy", optimizer=Sgd(momentum=0.9),
        planned=list(module.state_dict()), batch=4, input_shape=(2,), target_shape=(),
        signatures=SIGNATURES,
    ).convert()  # fmt: skip


def altered(program: Program) -> Program:
    """Return a program with one byte of its graph altered, and nothing of its description."""
    return replace(program, model=program.model[:-1] + bytes([program.model[-1] ^ 1]))


def listed(path: Path, program: bytes) -> Path:
    """Write a list with one program, and return its file."""
    from frugalfl.approved import Approved, ApprovedProgram, to_text

    path.write_text(to_text(Approved((), (ApprovedProgram("all", digest_of(program)),))))
    return path


def changed(folder: Path, code: str, name: str = "echo") -> Path:
    """Copy the echo app with more code in it, and return the copy."""
    shutil.copytree(ECHO, folder, ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "echo.py").open("a") as file:
        file.write(code)
    about = folder / "pyproject.toml"
    about.write_text(about.read_text().replace('name = "echo"', f'name = "{name}"'))
    return folder


def run_of(links: Machines, app: Path) -> Process:
    """Begin a run of one round on two nodes."""
    return links.run(app, nodes=2, rounds=1)


def answers(links: Machines, app: Path) -> bool:
    """Say whether both nodes answer a run as they should."""
    line = run_of(links, app).wait_for("echo 1: ")
    return "2 answers, errors []" in line


def _words(line: str) -> str:
    """Return a node's line without its time."""
    return re.sub(r"^\S+ ", "", line.strip())
