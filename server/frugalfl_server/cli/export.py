"""``frugalfl export``: a run's newest model as TFLite files and C sources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

command = typer.Typer(add_completion=False)


@command.command(epilog="Example: frugalfl export runs/latest --out firmware/model")
def export(
    run: Annotated[Path, typer.Argument(help="A run directory, such as runs/latest.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to; by default RUN/model.")
    ] = None,
    activations: Annotated[
        str | None, typer.Option(help="int8, or int16: finer, for more RAM; by default the run's.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
) -> None:
    """Convert, quantize to int8, and prove the newest model of a run, finished or interrupted.

    The same test rows go through PyTorch, LiteRT and the TFLite-Micro interpreter; an export that
    fails its checks stops with the reason.
    """
    from frugalfl_server.export_run import export_run

    result = export_run(run, out, activations)
    if as_json:
        typer.echo(json.dumps(result.to_dict(), indent=2))
        return
    for name, score in result.verification.to_dict()["accuracy"].items():
        typer.echo(f"{name:>20}  {'not run' if score is None else f'accuracy {score:.3f}'}")
    for path in result.paths.values():
        typer.echo(f"{path.stat().st_size:>18} B  {path}")
