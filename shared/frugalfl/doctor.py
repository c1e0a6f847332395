"""``frugalfl doctor``: what this machine has, and what will therefore be estimated."""

from __future__ import annotations

import json
import os
import platform
from importlib import metadata
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import frugalfl
from frugalfl import native
from frugalfl.energy.choose import explain
from frugalfl.energy.profiles import links, profile_named, profiles
from frugalfl.text import MOST_OF_A_LINE, printable

command = typer.Typer(add_completion=False)

#: What each part needs, and what it is for.
_PARTS = {
    "client": ("flwr", "take part in a federation"),
    "torch": ("torch", "train with PyTorch"),
    "edge": ("ai-edge-litert", "run TFLite models on this device"),
    "server": ("litert-torch", "serve, prune, export, report"),
    "sim": ("ray", "simulate with Flower's own engine too"),
}
#: What does a package's work where it is not there: 32-bit boards have no other.
_INSTEAD = {"ai-edge-litert": "tflite-runtime"}
#: What an export is proven with.
_INTERPRETERS = {
    "ai-edge-litert": ("LiteRT", "pip install ai-edge-litert"),
    "tflite-runtime": (
        "LiteRT's forerunner, for 32-bit boards", "pip install tflite-runtime 'numpy<2'"
    ),
    # A pre-release: the extra names the one that was tried.
    "tflite-micro": (
        "TFLite-Micro (x86-64 Linux only); without it exports are not checked in it",
        "pip install 'frugalfl[micro]'",
    ),
}  # fmt: skip


@command.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say which core, parts, interpreters and energy sources this machine has."""
    findings = examine()
    if as_json:
        typer.echo(json.dumps(findings, indent=2))
        return
    console = Console(highlight=False)
    line = " · ".join(findings[name] for name in ("frugalfl", "python", "machine"))
    console.print(printable(line), markup=False)
    line = f"Core: {findings['core']}"
    console.print(printable(line, MOST_OF_A_LINE), soft_wrap=True, markup=False)
    for title in ("parts", "interpreters"):
        table = Table(title.capitalize(), "version", "for")
        for name, row in findings[title].items():
            found = row["version"] or f"missing: {row['install']}"
            table.add_row(name, escape(found), row["for"])
        console.print(table)
    console.print("\nEnergy")
    for name, row in findings["energy"]["sources"].items():
        # Lines, not a table: commands to copy are not broken in two.
        found = "found" if row["found"] else "-"
        line = f"  {name:8} {found:6} {row['note']}"
        console.print(printable(line, MOST_OF_A_LINE), soft_wrap=True, markup=False)
    for line in (findings["energy"]["used"], findings["energy"]["radio"]):
        console.print(printable(line, MOST_OF_A_LINE), soft_wrap=True, markup=False)
    console.print(f"Device profiles: {', '.join(findings['profiles'])}", soft_wrap=True)


def examine() -> dict[str, Any]:
    """Return the findings: the core, versions of parts and interpreters, sources of joules."""
    return {
        "frugalfl": f"frugalfl {frugalfl.__version__}",
        "python": f"Python {platform.python_version()}",
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "core": _core(),
        "parts": {
            extra: _find(_there(package), purpose, f"pip install 'frugalfl[{extra}]'")
            for extra, (package, purpose) in _PARTS.items()
        },
        "interpreters": {
            package: _find(package, purpose, install)
            for package, (purpose, install) in _INTERPRETERS.items()
        },
        "energy": _energy(),
        "profiles": {name: profile.source for name, profile in profiles().items()},
    }


def _core() -> str:
    if native.core() is None:
        return f"Python computes the same bytes, slower: {native.state()}"
    return f"compiled, version {native.ABI}, {native.state()}"


def _energy() -> dict[str, Any]:
    found, used = explain(profile_named("generic"))
    return {
        "used": f"Here {used}.",
        "radio": "Radio joules are estimated from bytes and contacts, for links "
        f"{', '.join(links())} (node config 'link', or the setting 'device').",
        "sources": {f.method: {"found": bool(f.sources), "note": f.note} for f in found},
    }


def _there(package: str) -> str:
    """Return the package, or the one that does its work where only that is installed."""
    instead = _INSTEAD.get(package)
    if instead is None or not _is_there(instead) or _is_there(package):
        return package
    return instead


def _is_there(package: str) -> bool:
    return bool(list(metadata.distributions(name=package)))


def _find(package: str, purpose: str, install: str) -> dict[str, str | None]:
    try:
        version: str | None = metadata.version(package)
    except metadata.PackageNotFoundError:
        version = None
    return {"version": version, "for": purpose, "install": install}
