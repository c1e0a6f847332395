"""``frugalfl export``: a run's newest model as TFLite files and C sources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from frugalfl.errors import UsageError

command = typer.Typer(add_completion=False)


@command.command(epilog="Example: frugalfl export runs/latest --out firmware/model")
def export(
    run: Annotated[
        Path, typer.Argument(help="A run directory, such as runs/latest, or a .keras model.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to; by default RUN/model.")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Of a .keras model: .npz of typical rows x, targets y.")
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="Of a .keras model: rows to prove it with, likewise.")
    ] = None,
    activations: Annotated[
        str | None, typer.Option(help="int8, or int16: finer, for more RAM; by default the run's.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
) -> None:
    """Convert, quantize to int8, and prove the newest model of a run, finished or interrupted.

    The same test rows go through PyTorch, LiteRT and the TFLite-Micro interpreter; an export that
    fails its checks stops with the reason. A trained Keras model goes the same way.
    """
    from frugalfl_server.export_keras_file import SUFFIX, export_keras_file
    from frugalfl_server.export_run import export_run

    if run.suffix == SUFFIX:
        if activations not in (None, "int8"):
            raise UsageError("--activations belongs to a run; a .keras model becomes int8")
        result = export_keras_file(run, calibration, test, out)
    elif calibration is None and test is None:
        result = export_run(run, out, activations)
    else:
        raise UsageError("--calibration and --test belong to a .keras model; a run has its own")
    if as_json:
        typer.echo(json.dumps(result.to_dict(), indent=2))
        return
    for name, score in result.verification.to_dict()["accuracy"].items():
        typer.echo(f"{name:>20}  {'not run' if score is None else f'accuracy {score:.3f}'}")
    for path in result.paths.values():
        typer.echo(f"{path.stat().st_size:>18} B  {path}")
    for advice in result.advice:
        typer.echo(advice)
