"""Cross-compile the core from this one machine: a wheel a platform, and what runs without Python.

    make wheels

Writes into dist/ the source archive and a wheel for each of shared/core/platforms.py; into
dist/core/ `core.wasm` and static libraries for microcontrollers. Each is checked (.ci/built.py) and
stands in a table: its bytes, those of the library in it, and where it was run. `--json FILE` keeps
the table. Runs in an environment of its own, which `make wheels` makes: zig takes 400 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import built
from hatchling.build import build_sdist, build_wheel

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "shared" / "core"))
import build  # noqa: E402
import platforms  # noqa: E402

DIST = ROOT / "dist"
#: What zig has compiled for a platform once (its runtime: seconds) is kept here.
_CACHE = str(Path(sys.prefix) / "zig-cache")
CACHE = {"ZIG_GLOBAL_CACHE_DIR": _CACHE, "ZIG_LOCAL_CACHE_DIR": _CACHE}


def main() -> None:
    """Build, check, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there too")
    parser.add_argument(
        "--only", nargs="+", choices=[*platforms.PLATFORMS, *platforms.FREESTANDING]
    )
    options = parser.parse_args()
    os.environ.update(CACHE)
    wanted = options.only or [*platforms.PLATFORMS, *platforms.FREESTANDING]
    os.chdir(ROOT)  # PEP 517: a build happens in the project's folder
    DIST.mkdir(exist_ok=True)
    if not options.only:
        build_sdist(str(DIST))
    rows = {name: make(name) for name in wanted}
    print_table(rows)
    if options.json:
        options.json.write_text(json.dumps({k: row._asdict() for k, row in rows.items()}, indent=2))


def make(name: str) -> built.Row:
    """Build one thing and check it; return its row of the table."""
    print(f"{name} ...", file=sys.stderr, flush=True)
    if name in platforms.PLATFORMS:
        return built.check_wheel(pack(name), platforms.PLATFORMS[name])
    return freestanding(name, DIST / "core" / name)


def pack(platform: str) -> Path:
    """Have hatchling make the wheel of one platform."""
    os.environ["FRUGALFL_PLATFORM"] = platform  # .ci/core_hook.py reads it
    return DIST / str(build_wheel(str(DIST)))


def freestanding(name: str, output: Path) -> built.Row:
    """Compile what needs no operating system; an object becomes an archive once it is checked."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        made = Path(folder) / output.with_suffix(".o" if output.suffix == ".a" else "").name
        target = platforms.FREESTANDING[name]
        flags = (*build.COMMON, *target.flags)
        if complaint := build.compile_core(build.zig(), flags, made, target.source):
            raise SystemExit(f"{name}: {complaint}")
        if output.suffix == ".a":
            archive(made, output)
            return built.check_object(made, output)
        made.replace(output)
        return built.check_wasm(output)


def archive(made: Path, output: Path) -> None:
    """Make a static library of an object."""
    output.unlink(missing_ok=True)
    command = [sys.executable, "-m", "ziglang", "ar", "rcs", str(output), str(made)]
    subprocess.run(command, check=True)


def print_table(rows: dict[str, built.Row]) -> None:
    """Print a line for each."""
    print(f"{'for':30} {'bytes':>9} {'core':>8}  ran     file")
    for name, row in rows.items():
        print(f"{name:30} {row.bytes:9,} {row.core_bytes:8,}  {row.ran or '—':6}  {row.file}")


if __name__ == "__main__":
    main()
