"""What every benchmark takes and writes."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
#: Figures that stand in the documents; benchmarks/tables.py makes the tables of them.
RESULTS = ROOT / "benchmarks" / "results"
#: What figures depend on in the repository; earlier figures are no part of it.
_CODE = (
    "shared", "client", "server", "edge", "simulations", "benchmarks", ":!benchmarks/results",
)  # fmt: skip
#: Packages that figures depend on.
_PACKAGES = (
    "frugalfl", "flwr", "numpy", "torch", "ai-edge-litert", "ai-edge-quantizer", "litert-torch",
    "tflite-micro", "lightgbm", "tensorflow-cpu",
)  # fmt: skip


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of ``--quick`` and ``--json FILE``, to which a benchmark may add."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a short version, to see that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    return parser


def arguments(description: str | None) -> argparse.Namespace:
    """Read ``--quick`` and ``--json FILE``."""
    return parser_of(description).parse_args()


def finish(options: argparse.Namespace, figures: dict[str, Any]) -> None:
    """Write the figures to the file that ``--json`` named, with what they were measured on."""
    if options.json is None:
        return
    whole = {"about": about(options.quick), **figures}
    options.json.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


def about(quick: bool) -> dict[str, Any]:
    """Return what was run, when, of which commit, with which versions, on which machine."""
    return {
        "command": _command(),
        "quick": quick,
        "date": datetime.now(UTC).date().isoformat(),
        "commit": _commit(),
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": _machine(),
    }


def _command() -> str:
    """Return what was typed, without the place of the JSON file."""
    words = [f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]
    if "--json" in words:
        place = words.index("--json")
        del words[place : place + 2]
    return shlex.join(["python", *(word for word in words if not word.startswith("--json="))])


def _commit() -> str | None:
    """Return the commit, with ``-dirty`` if code differs from it; ``None`` without git."""
    found = _git("rev-parse", "--short=12", "HEAD")
    if found.returncode:
        return None
    changed = _git("diff", "--quiet", "HEAD", "--", *_CODE).returncode
    return found.stdout.strip() + ("-dirty" if changed else "")


def _git(*words: str) -> subprocess.CompletedProcess[str]:
    command = ["/usr/bin/env", "git", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _machine() -> dict[str, Any]:
    """Return cores, processor and how busy it was: above the cores, times mean little."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "load_of_15_minutes": round(os.getloadavg()[2], 1),
    }


def _processor() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), None)
