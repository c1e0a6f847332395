"""Files that somebody planted, opened, or wrote: links at guessed names, open keys, bombs, code."""

from __future__ import annotations

import io
import json
import os
import pickle
import sqlite3
import subprocess
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from machines import BIN, Machines, children_of, free_port, program_of

from attacking.outcome import Outcome
from frugalfl.atomic import append_line
from frugalfl.energy.ledger import Ledger
from frugalfl.errors import FrugalFLError
from frugalfl.settings import Settings
from frugalfl_client import kept_file
from frugalfl_client.node.home import Home
from frugalfl_client.node.keys import own_key
from frugalfl_client.node.outbox import Outbox
from frugalfl_client.pins import Pins
from frugalfl_client.store import Store
from frugalfl_server.export.keras_file import read_rows
from frugalfl_server.run.checkpoint import read_checkpoint, write_checkpoint
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.resume import claimed

#: What a planted link points at, and a password that nobody may read.
PRECIOUS, SECRET = "precious\n", "Pa55w0rd-of-the-proxy"
#: So long (s) a command may take to refuse; more is hanging.
_MOST_S = 60


def attacks(folder: Path, quick: bool) -> Iterator[Outcome]:
    """Try them all."""
    yield from links(folder / "links")
    yield wide_umask(folder / "umask")
    yield from keys(folder / "keys")
    yield _argv(folder / "argv")
    yield from archives(folder / "archives", quick)
    yield from ledgers(folder / "ledgers")
    yield from runs(folder / "runs")


def new_run(root: Path, **settings: Any) -> RunDirectory:
    """Make a run with a model in it."""
    run = RunDirectory.create(root, "digits", Settings.of(**settings), app=None)
    run.checkpoint({"weight": np.ones(4, np.float32)}, round=1)
    run.flush()
    return run


def frugalfl(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Call the command line as a user does."""
    return subprocess.run(
        [BIN / "frugalfl", *map(str, words)], capture_output=True, text=True, check=False,
        timeout=_MOST_S, env=os.environ | environment,
    )  # fmt: skip


def links(folder: Path) -> Iterator[Outcome]:
    """Plant links and second names that lead to a precious file, then let the real code write."""
    for name, (path, write) in _writers(folder).items():
        for kind in ("link", "second name"):
            victim = folder / f"victim of {name} by {kind}".replace(" ", "-")
            victim.write_text(PRECIOUS)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            (os.symlink if kind == "link" else os.link)(victim, path)
            line = _said(write)
            held = victim.read_text() == PRECIOUS
            yield Outcome(f"{kind} at {name}", held, line or "replaced, and not followed")
            path.unlink(missing_ok=True)


def _writers(folder: Path) -> dict[str, tuple[Path, Callable[[], object]]]:
    """Return, by name, where to plant and what writes there."""
    run, home = new_run(folder / "runs"), Home(folder / "device")
    outbox = Outbox(home.outbox)
    parcel: Any = _Parcel()
    reply = outbox._path(parcel.answers)
    device = folder / "device"
    return {
        "checkpoint's temporary file": (
            run.path / "checkpoints/.resume.npz.part",
            lambda: write_checkpoint(run.path / "checkpoints/resume.npz", {"a": 1}),
        ),
        "run.json's temporary file": (
            run.path / ".run.json.part", lambda: run.write_json("run.json", {"name": "x"}),
        ),
        "rounds.parquet's temporary file": (run.path / ".rounds.parquet.part", run.flush),
        "energy.parquet itself": (run.path / "energy.parquet", run.flush),
        "progress.log": (
            run.path / "progress.log", lambda: append_line(run.path / "progress.log", "round 1"),
        ),
        "the run's lock": (run.path / "lock", lambda: _claim(run)),
        "the node's lock": (folder / "other/node/lock", lambda: Home(folder / "other")),
        "node.json's temporary file": (
            home.folder / ".node.json.part", lambda: home.remember("a:1", b"key", 7),
        ),
        "an answer's temporary file": (
            reply.with_name(f".{reply.name}.part"), lambda: outbox.put_in_case(parcel),
        ),
        "the node's own key's temporary file": (
            home.folder / ".own-key.pem.part", lambda: own_key(home.key),
        ),
        "the device's trees": (
            device / ".trees.part", lambda: kept_file.keep(device / "trees", "r", b"x", "trees"),
        ),
        "the device's list of what is accepted": (
            Pins(device).path.with_name(f".{Pins(device).path.name}.part"),
            lambda: Pins(device).accept("0" * 64),
        ),
        "the lock of that list": (
            device / "accepted.lock", lambda: Pins(device).accept("0" * 64),
        ),
        "the device's store": (device / "store.sqlite", lambda: Store(device / "store.sqlite")),
        "the device's ledger": (device / "ledger.sqlite", lambda: Ledger(device / "ledger.sqlite")),
    }  # fmt: skip


class _Parcel:
    """What an outbox keeps, as far as it looks at it."""

    node, run, answers, expires, seconds = 1, 1, "m", 2e9, 0.1
    message, tree = b"message", b"tree"
    objects: Mapping[str, bytes] = MappingProxyType({})


def _claim(run: RunDirectory) -> None:
    with claimed(run):
        pass


def wide_umask(folder: Path) -> Outcome:
    """Write everything under a umask that lets everybody read, and look for what others can."""
    before = os.umask(0)
    try:
        run, home = new_run(folder / "runs"), Home(folder / "device")
        own_key(home.key), Outbox(home.outbox)
        # Kept open while the files are looked at: closing SQLite's takes some of them away.
        opened = Store(folder / "device/store.sqlite"), Ledger(folder / "device/ledger.sqlite")
    finally:
        os.umask(before)
    tops = [folder / "runs", run.path, folder / "device"]
    below = [path for top in tops for path in top.rglob("*") if not path.is_symlink()]
    read = [path for path in [*tops, *below] if path.stat().st_mode & 0o077]
    for one in opened:
        one.close()
    return Outcome("reading a run and a device's state as another user", not read, " ".join(
        str(path.relative_to(folder)) for path in read) or "all is its owner's only")  # fmt: skip


def keys(folder: Path) -> Iterator[Outcome]:
    """Offer private keys that others can read, to the real commands."""
    machines = Machines(folder, tls=True)
    node_key = machines.key("node")
    node_key.chmod(0o644)
    done = frugalfl(
        "node", "--superlink", f"127.0.0.1:{free_port()}", "--root-certificates",
        folder / "ca.crt", "--auth-supernode-private-key", node_key,
        "--node-config", "partition-id=0 num-partitions=1", "--state-dir", folder / "state",
    )  # fmt: skip
    yield _refusal("a node's key that others can read", done, "chmod 600")
    (folder / "server.key").chmod(0o640)
    app = Path(__file__).parents[2] / "simulations/digits"
    done = frugalfl("serve", app, "--tls", folder, "--state", folder / "link")
    yield _refusal("a server's TLS key that a group can read", done, "chmod 600")
    own = folder / "own-key.pem"
    own_key(own)
    own.chmod(0o604)
    line = _said(lambda: own_key(own))
    yield Outcome("a node's own key that others can read", "chmod 600" in line, line)


def _argv(folder: Path) -> Outcome:
    """Look for a key and a proxy's password in what every user of a machine can see."""
    machines = Machines(folder, tls=True)
    key = machines.key("node")
    proxy = f"http://user:{SECRET}@127.0.0.1:{free_port()}"
    node = machines.lean(0, 1, key, https_proxy=proxy, HTTPS_PROXY=proxy)
    try:
        node.wait_for("trying again", 60)
        seen = "".join(map(program_of, [node.pid, *children_of(node.pid)])) + node.said
    finally:
        machines.stop()
    leaks = [word for word in (SECRET, key.read_text().splitlines()[1]) if word in seen]
    return Outcome("a password and a key in arguments or output", not leaks, "neither is there")


class _Bomb:
    """An object that makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self._marker),)


def archives(folder: Path, quick: bool) -> Iterator[Outcome]:
    """Offer archives of arrays that are code, or unpack to far more than they are."""
    folder.mkdir()
    path, marker = folder / "rows.npz", folder / "was-run"
    for name, content in _bad_archives(marker, 1 << (24 if quick else 28)).items():
        path.write_bytes(content)
        for reader, read in (
            ("rows", lambda: read_rows(path)), ("a checkpoint", lambda: read_checkpoint(path)),
        ):  # fmt: skip
            line = _said(read)
            yield Outcome(f"{name}, as {reader}", bool(line) and not marker.exists(), line)


def _bad_archives(marker: Path, size: int) -> dict[str, bytes]:
    objects = np.array([_Bomb(marker)], object)
    pickled = io.BytesIO()
    np.savez(pickled, x=objects)
    zeros = io.BytesIO()
    np.savez_compressed(zeros, x=np.zeros(size, np.uint8))
    return {
        "a pickled object": pickled.getvalue(),
        "a bare pickle": pickle.dumps(_Bomb(marker)),
        "an archive that unpacks to 1,000 times its size": zeros.getvalue(),
        "a shape of 8 exabytes": _claiming((1 << 60,)),
        "a shape of a negative side": _claiming((-1,)),
        "a header that is a program": _entry(b"__import__('os').mkdir('was-run')"),
        "half an archive": zeros.getvalue()[: len(zeros.getvalue()) // 2],
    }


def _claiming(shape: tuple[int, ...]) -> bytes:
    return _entry(repr({"descr": "<f8", "fortran_order": False, "shape": shape}).encode())


def _entry(header: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        text = header.ljust(117) + b"\n"
        start = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little")
        archive.writestr("x.npy", start + text + b"8 bytes.")
    return data.getvalue()


def ledgers(folder: Path) -> Iterator[Outcome]:
    """Offer ledgers whose SQL would be run."""
    folder.mkdir()
    for_ever = (
        "CREATE VIEW entries AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) "
        "SELECT i AS number, '' AS text, x'' AS hash FROM n"
    )
    trigger = "CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM about; END"
    for name, statements in (
        ("a ledger that computes for ever", ("ALTER TABLE entries RENAME TO old", for_ever)),
        ("a ledger with a trigger", (trigger,)),
    ):
        path = folder / f"{name.split()[-1]}.sqlite"
        Ledger(path).close()
        with sqlite3.connect(path) as db:
            for statement in statements:
                db.execute(statement)
        yield _refusal(name, frugalfl("energy", path), "no ledger has")


def runs(folder: Path) -> Iterator[Outcome]:
    """Offer whole run directories that somebody else made up."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir(parents=True)
    (folder / "latest").symlink_to(elsewhere)
    run = new_run(folder)
    held = not list(elsewhere.iterdir()) and (folder / "latest").resolve() == run.path
    yield Outcome("runs/latest, led elsewhere", held, "led back to the new run")
    for name, (spoil, verb) in _SPOILED.items():
        run = new_run(folder)
        spoil(run.path)
        done = frugalfl(verb, run.path)
        refused = _refusal(f"frugalfl {verb} of a run with {name}", done, "")
        ran = (folder / "was-run").exists() or list(elsewhere.iterdir())
        yield Outcome(refused.attack, refused.refused and not ran, refused.line)


def _bring_code(run: Path) -> None:
    app = run / "app"
    app.mkdir()
    (app / "task.py").write_text(f"import os\nos.mkdir({str(run.parent / 'was-run')!r})\n")
    about = json.loads((run / "run.json").read_text()) | {"app": str(app)}
    (run / "run.json").write_text(json.dumps(about))


def _make_pipe(run: Path) -> None:
    (run / "rounds.parquet").unlink()
    os.mkfifo(run / "rounds.parquet")


def _unpack_to_much(run: Path) -> None:
    rows = pa.array(np.zeros(20_000_000, np.int8))
    pq.write_table(pa.table({"round": rows}), run / "energy.parquet", compression="zstd")


def _lead_away(run: Path) -> None:
    (run / "model").symlink_to(run.parent / "elsewhere")


_Spoil = Callable[[Path], object]
_SPOILED: dict[str, tuple[_Spoil, str]] = {
    "code of its own": (_bring_code, "export"),
    "a folder led elsewhere": (_lead_away, "export"),
    "a pipe for a table": (_make_pipe, "report"),
    "a table of 20 million rows in 3 kB": (_unpack_to_much, "energy"),
    "JSON nested 200,000 times": (
        lambda run: (run / "run.json").write_text("[" * 200_000), "report",
    ),
    "a list for its settings": (lambda run: (run / "run.json").write_text("[1]"), "report"),
    "nothing where figures should be": (lambda run: (run / "run.json").write_text("{}"), "report"),
}  # fmt: skip


def _refusal(name: str, done: subprocess.CompletedProcess[str], says: str) -> Outcome:
    """Judge a command that must end with one line, not with a traceback."""
    line = done.stderr.strip().rpartition("\n")[2]
    clean = "Traceback" not in done.stderr and line.startswith("error: ")
    return Outcome(name, bool(done.returncode) and clean and says in line, line)


def _said(act: Callable[[], object]) -> str:
    """Return what an act is refused with; empty: it was done."""
    try:
        act()
    except (FrugalFLError, OSError) as error:
        return str(error)
    return ""
