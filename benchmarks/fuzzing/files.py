"""Readers of files on disks that fail: of the device, of the node, of the server's runs."""

from __future__ import annotations

import hashlib
import io
import random
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from frugalfl.foreign_arrays import arrays_in
from frugalfl_client import kept_file
from frugalfl_client.node.flower import Parcel as Answer
from frugalfl_client.node.home import Home
from frugalfl_client.node.outbox import Outbox
from frugalfl_server.run.checkpoint import read_checkpoint, write_checkpoint
from frugalfl_server.run.sealed import read_sealed, write_sealed
from fuzzing.decoder import Decoder
from fuzzing.mutate import bytes_like, json_like

_SUPERLINK, _KEY = "127.0.0.1:8000", b"key"


def decoders() -> Iterator[Decoder]:
    """Yield them; their files are in one folder each, in the system's place for such."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    file = folder / "resume.npz"
    model = {"w": np.arange(60, dtype=np.float32).reshape(3, 20), "b": np.zeros(4, np.float32)}
    tree = {"phase": "train", "done": 3, "model": model, "frames": b"xyz", "aside": [[1, 2]]}
    write_checkpoint(file, tree)
    yield Decoder("checkpoint", [file.read_bytes()], _archive_like,
                  _file(file, lambda: read_checkpoint(file)), 2)  # fmt: skip
    whole = io.BytesIO()
    np.savez(whole, **model)  # type: ignore[arg-type]
    yield Decoder("arrays of a model", [whole.getvalue()], _archive_like, _model_of, 2)
    about = folder / "run.json"
    write_sealed(about, {"task": "x", "app": None, "settings": {"rounds": 3}, "versions": {}})
    yield Decoder("run's JSON", [about.read_bytes()], json_like,
                  _file(about, lambda: read_sealed(about)))  # fmt: skip
    kept = folder / "kept"
    kept_file.keep(kept, "run", b"data" * 9, "it")
    yield Decoder("device's kept file", [kept.read_bytes()], bytes_like,
                  _file(kept, lambda: kept_file.kept(kept, "run")))  # fmt: skip
    yield _node_json(folder)
    yield _outbox(folder / "outbox")


def _file(path: Path, read: Callable[[], object]) -> Callable[[bytes], object]:
    def decode(data: bytes) -> object:
        path.write_bytes(data)
        return read()

    return decode


def _archive_like(data: bytes, rng: random.Random) -> bytes:
    """Change an archive, or one of its entries, whose CRC is then right."""
    if rng.random() < 0.4:
        return bytes_like(data, rng)
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as whole, zipfile.ZipFile(made, "w") as other:
        names = whole.namelist()
        chosen = rng.choice(names)
        for name in names:
            content = whole.read(name)
            if name == chosen:
                content = bytes_like(content[:128], rng) + content[128:]
            other.writestr(name, content)
    return made.getvalue()


def _model_of(data: bytes) -> None:
    try:
        arrays_in(io.BytesIO(data))
    except ValueError as error:
        from frugalfl.errors import RunError

        raise RunError(str(error)) from error


def _node_json(folder: Path) -> Decoder:
    home = Home(folder / "device")
    home.remember(_SUPERLINK, _KEY, 77)
    path = home.folder / "node.json"

    def read() -> None:
        number = home.node_at(_SUPERLINK, _KEY)
        if type(number) is not int or not 0 <= number < 1 << 64:
            raise AssertionError(f"a node has no number like {number!r:.40}")

    return Decoder("node.json", [path.read_bytes()], json_like, _file(path, read))


def _outbox(folder: Path) -> Decoder:
    answer = Answer(1, 2, "message", 1e9, 0.5, b"m" * 30, b"t" * 9, {"a": b"object", "b": b""})
    Outbox(folder).put(answer)
    (path,) = folder.glob("*.reply")
    good = path.read_bytes()

    def decode(data: bytes) -> None:
        path.write_bytes(data)
        box = Outbox(folder)
        first = box.first()
        if first is None:
            return
        kinds = {"node": int, "run": int, "answers": str, "expires": int | float,
                 "seconds": int | float,
                 "message": bytes, "tree": bytes}  # fmt: skip
        wrong = [n for n, kind in kinds.items() if not isinstance(getattr(first, n), kind)]
        if wrong or not all(isinstance(one, str) for one in first.objects):
            raise AssertionError(f"an answer was read with a wrong {wrong}")

    return Decoder("undelivered answer", [good], _answer_like, decode)


def _answer_like(data: bytes, rng: random.Random) -> bytes:
    body = data[32:]
    if rng.random() < 0.6:
        line, _, rest = body.partition(b"\n")
        body = json_like(line, rng) + b"\n" + rest
    else:
        body = bytes_like(body, rng)
    if rng.random() < 0.1:
        return bytes_like(data, rng)
    return hashlib.sha256(body).digest() + body
