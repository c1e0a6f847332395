"""App bundles that mean harm to whoever unpacks them, made byte by byte."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Iterable

PROJECT = """
[project]
name = "mine"
version = "{version}"
[tool.flwr.app]
publisher = "me"
[tool.flwr.app.components]
serverapp = "part:server"
clientapp = "part:client"
[tool.flwr.app.config]
speed = 1
"""
CODE = "from flwr.clientapp import ClientApp\nclient = ClientApp()\n"
_MIB = 1 << 20


def honest(
    code: str = CODE, more: Iterable[tuple[str | zipfile.ZipInfo, bytes]] = (),
    version: str = "1.0",
) -> bytes:  # fmt: skip
    """Return a bundle that runs, with more entries if wanted."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        project = PROJECT.format(version=version)
        for name, text in [("pyproject.toml", project), ("part.py", code), *more]:
            archive.writestr(name, text)
    return data.getvalue()


def hostile() -> dict[str, bytes]:
    """Return bundles by what is wrong with them."""
    named = {
        "a file above the folder": "../../outside.py",
        "an absolute name": "/tmp/outside.py",
        "a drive of Windows": "C:/outside.py",
        "a backslash": "..\\outside.py",
        "an escape code in a name": "\x1b[2Jpart.py",
        "a line break in a name": "a\nb.py",
        "a name that is there twice": "part.py",
        "two names that differ in case": "PART.py",
        "a folder where a file is": "part.py/more.py",
        "no name at all": "",
        "a name of 300 letters": "a" * 300,
        "a folder in a folder, 40 deep": "a/" * 40 + "b.py",
    }
    return {what: honest(more=[(_raw(name), b"x")]) for what, name in named.items()} | {
        "a symbolic link": honest(more=[(_of_kind("link", stat.S_IFLNK), b"/etc/passwd")]),
        "a device file": honest(more=[(_of_kind("null", stat.S_IFCHR), b"")]),
        "a bomb: 65 MiB in 65 kB": honest(more=[("rows.json", bytes(65 * _MIB))]),
        "a bomb that declares 1 B": _understated(),
        "2,000 entries": honest(more=[(f"{number}.py", b"") for number in range(2_000)]),
        "a bundle of 11 MiB": honest() + bytes(11 * _MIB),
        "a packing that Flower does not use": _packed_otherwise(),
        "no ZIP file": b"PK\x03\x04" + bytes(999),
        "half a ZIP file": honest()[:200],
    }


def _raw(name: str) -> zipfile.ZipInfo:
    """Return an entry of exactly this name, which Python's writer would put right."""
    entry = zipfile.ZipInfo("harmless")
    entry.filename = name
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _of_kind(name: str, kind: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (kind | 0o644) << 16
    return entry


def _understated() -> bytes:
    """Return a bomb whose directory says that it is one byte long."""
    size = 3 * _MIB
    data = honest(more=[("rows.json", bytes(size))])
    return data.replace(struct.pack("<L", size), struct.pack("<L", 1))


def _packed_otherwise() -> bytes:
    data = io.BytesIO(honest())
    with zipfile.ZipFile(data, "a", zipfile.ZIP_LZMA) as archive:
        archive.writestr("more.py", b"x")
    return data.getvalue()
