"""Write the lists of exact versions that installations follow.

    python .ci/lock.py

`constraints.txt` is what is installed here, for developers. The others name every file by its
SHA-256: pip then takes these bytes, or nothing. uv looks the hashes up in the index that pip would
ask too; no index is named in a list.

PyTorch comes in two builds, and a server takes one of two lists beside `constraints-server.txt`:
`constraints-cuda.txt` is the one on PyPI with the CUDA libraries that it needs, gigabytes of them;
`constraints-cpu.txt` is the CPU build, whose hashes PyPI does not know: they are taken from the
file that pip finds here, beside those in the old list. Both in one list does not do: pip prefers
the build that its index has hashes of.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).with_name("uv")
PYTHONS = ("3.11", "3.12", "3.13")
#: PyTorch, and what only a CUDA build of it needs.
CUDA = ("torch==", "cuda-", "nvidia-", "triton==")
#: What builds FrugalFL's own wheel: it runs on the machine too.
BUILD = "hatchling>=1.27"
#: Hashes of the files of each ``name==version``.
Pins = dict[str, list[str]]


@dataclass(frozen=True)
class Kind:
    """One kind of machine.

    Attributes:
        file: The list.
        extras: What it installs of FrugalFL.
        platforms: What wheels must exist for, as uv calls it.
    """

    file: str
    extras: tuple[str, ...]
    platforms: tuple[str, ...]


# litert-converter, which an export needs, has wheels for x86-64 Linux only: so has a server.
SERVER = Kind("constraints-server.txt", ("server",), ("x86_64-manylinux_2_28",))
DEVICE = Kind(
    "constraints-device.txt",
    ("client", "edge"),
    ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28"),
)


def main() -> None:
    """Write all lists."""
    _write("constraints.txt", _installed())
    pins = _pins_of(SERVER)
    cuda = {pin: hashes for pin, hashes in pins.items() if pin.startswith(CUDA)}
    _write(SERVER.file, _lines({pin: pins[pin] for pin in pins.keys() - cuda}))
    _write("constraints-cuda.txt", _lines(cuda))
    _write("constraints-cpu.txt", _lines(_cpu_build_of(pins)))
    _write(DEVICE.file, _lines(_pins_of(DEVICE)))


def read_pins(text: str) -> Pins:
    """Return what a list with hashes says."""
    entries = re.split(r"\n(?=\S)", text.strip())
    parted = [re.split(r"\s*\\\n\s+--hash=", entry.strip()) for entry in entries]
    return {pin: hashes for pin, *hashes in parted}


def _installed() -> str:
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    # A local version such as 2.13.0+cpu is of one build, and on no index.
    return re.sub(r"(==[^+\s]+)\+\S+", r"\1", _output(*pip, "freeze", "--exclude-editable"))


def _pins_of(kind: Kind) -> Pins:
    """Return the pins of a kind of machine, the same for every Python and platform.

    Raises:
        SystemExit: They are not the same, so that one list will not do.
    """
    resolved = [_resolved(kind, python, place) for python in PYTHONS for place in kind.platforms]
    if any(one != resolved[0] for one in resolved):
        odd = set[str]().union(*resolved) - set(resolved[0]).intersection(*resolved[1:])
        sys.exit(f"{kind.file} cannot be one list: {', '.join(sorted(odd))} not everywhere")
    return resolved[0]


def _resolved(kind: Kind, python: str, platform: str) -> Pins:
    extras = [word for extra in kind.extras for word in ("--extra", extra)]
    return read_pins(
        _output(
            UV, "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--generate-hashes",
            "--no-strip-extras", "--only-binary", ":all:", "--python-version", python,
            "--python-platform", platform, "--constraint", "constraints.txt", *extras,
            "pyproject.toml", "-", given=BUILD,
        )
    )  # fmt: skip


def _cpu_build_of(pins: Pins) -> Pins:
    """Return PyTorch's pin with the hashes of its CPU builds that are known.

    Raises:
        SystemExit: None is.
    """
    pin = next(one for one in pins if one.startswith("torch=="))
    old = ROOT / "constraints-cpu.txt"
    known = read_pins(old.read_text()).get(pin, []) if old.exists() else []
    report = _output(
        sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps",
        "--ignore-installed", "--report", "-", pin,
    )  # fmt: skip
    here = json.loads(report)["install"][0]["download_info"]["archive_info"]["hashes"]["sha256"]
    hashes = {*known, f"sha256:{here}"} - set(pins[pin])
    if not hashes:
        sys.exit("pip finds no CPU build of PyTorch here, and the old list knows none")
    return {pin: sorted(hashes)}


def _lines(pins: Pins) -> str:
    return "".join(
        " \\\n    ".join([pin, *(f"--hash={one}" for one in sorted(hashes))]) + "\n"
        for pin, hashes in sorted(pins.items())
    )


def _write(name: str, text: str) -> None:
    (ROOT / name).write_text(text)


def _output(*command: str | Path, given: str = "") -> str:
    done = subprocess.run(
        command, cwd=ROOT, input=given, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{Path(command[0]).name} failed; no list was written that depends on it")
    return done.stdout


if __name__ == "__main__":
    main()
