"""``frugalfl export``: a run's newest model as TFLite files and C sources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frugalfl.errors import UsageError
from frugalfl.help import epilog
from frugalfl.metrics import number, words

if TYPE_CHECKING:
    from frugalfl_server.export import Gate

command = typer.Typer(rich_markup_mode="markdown", add_completion=False)


_EPILOG = """
Examples:

- frugalfl export runs/latest --out firmware/model

- frugalfl export runs/latest --calibration rows.npz

- frugalfl export runs/latest --target cortex-m4 --flash 64KiB --ram 16KiB
"""


@command.command(epilog=epilog(_EPILOG))
def export(
    run: Annotated[
        Path, typer.Argument(help="A run directory, such as runs/latest, or a .keras model.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to; by default RUN/model.")
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help=".npz of about 200 typical rows x, targets y: for a .keras model, or a run that "
            "was stopped before its clients gave ranges."
        ),
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="Of a .keras model: rows to prove it with, likewise.")
    ] = None,
    app: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="App of the run, where it is not where it was."),
    ] = None,
    activations: Annotated[
        str | None, typer.Option(help="int8, or int16: finer, for more RAM; by default the run's.")
    ] = None,
    target: Annotated[
        str, typer.Option(help="Microcontroller to fit, such as cortex-m4 (docs/export.md).")
    ] = "",
    flash: Annotated[
        str, typer.Option(help="Most flash: the file, and the runtime where a target is named.")
    ] = "",
    ram: Annotated[str, typer.Option(help="Most RAM of the tensors, such as 16KiB.")] = "",
    macs: Annotated[int, typer.Option(help="Most multiply-accumulates of one inference.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
) -> None:
    """Convert, quantize to int8, and prove the newest model of a run, finished or interrupted.

    The same test rows go through PyTorch, LiteRT and, where it is installed, the TFLite-Micro
    interpreter; an export that fails its checks stops with the reason, and one that is too large
    with what would fit. Any of --target, --flash, --ram and --macs takes the place of the budget
    in the run's settings. A run without public calibration rows that was stopped before its clients
    gave ranges needs --calibration, or its end (--resume). A trained Keras model goes the same way.
    """
    from frugalfl_server.export import DeviceBudget
    from frugalfl_server.export.keras_file import SUFFIX, export_keras_file, read_rows
    from frugalfl_server.phases.export import export_run
    from frugalfl_server.run.progress import Progress

    budget: dict[str, str | int] = {"target": target, "flash": flash, "ram": ram, "macs": macs}
    if run.suffix == SUFFIX:
        if activations not in (None, "int8"):
            raise UsageError("--activations belongs to a run; a .keras model becomes int8")
        limits = DeviceBudget.of(target, flash, ram, macs)
        result = export_keras_file(run, calibration, test, out, limits)
    elif test is None:
        chosen = budget if any(budget.values()) else {}
        rows = None if calibration is None else read_rows(calibration)
        result = export_run(run, out, chosen, Progress(0).say, activations, rows, app)
    else:
        raise UsageError("rows for --test belong to a .keras model; a run has its task's own")
    if as_json:
        typer.echo(json.dumps(result.to_dict(), indent=2))
        return
    proof = result.verification
    for name, score in proof.accuracy.items():
        by_name = {"accuracy": score, **{m: values[name] for m, values in proof.metrics.items()}}
        known = [f"{words(m)} {number(v)}" for m, v in by_name.items() if v is not None]
        typer.echo(f"{name:>20}  {'  '.join(known) or 'not known'}")
    typer.echo()
    for gate in result.gates:
        typer.echo(f"{gate.name:>27}  {_text(gate.value, gate.unit):>16}  {_held(gate)}")
    typer.echo()
    for path in result.paths.values():
        typer.echo(f"{path.stat().st_size:>18} B  {path}")
    for advice in result.advice:
        typer.echo(advice)
    if proof.unchecked:
        typer.echo(proof.unchecked)


def _held(gate: Gate) -> str:
    if gate.value is None:
        return "not checked"
    return f"ok (limit {_text(gate.limit, gate.unit)})"


def _text(value: float | str | None, unit: str) -> str:
    if isinstance(value, float):
        value = f"{value:,.3g}"
    elif isinstance(value, int):
        value = f"{value:,}"
    return f"{'–' if value is None else value} {unit}".strip()
