"""The page: one file, with its style and its figures inside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from frugalfl.energy import EnergyRecord, totals
from frugalfl_server.report import facts, figures
from frugalfl_server.run_directory import RunDirectory

_STAGES = {
    "pytorch": "PyTorch, float",
    "litert_float": "LiteRT, float",
    "litert_int8": "LiteRT, int8",
    "litert_int8_reference": "LiteRT, int8, reference kernels",
    "tflite_micro_int8": "TFLite-Micro, int8",
}
#: Files that are worth a link, in the order of a reader's questions.
_FILES = (
    "model/model_int8.tflite", "model/model_int8_edge.tflite", "model/model_float.tflite",
    "model/model_data.c", "model/model_data.h", "model/model_card.json", "summary.json",
    "run.json", "rounds.parquet", "energy.parquet", "checkpoints/model.npz",
)  # fmt: skip


def page(run: RunDirectory) -> str:
    """Return the report of a run, finished or not, as HTML."""
    summary = run.read_json("summary.json")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("frugalfl_server.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        run=run,
        about=run.read_json("run.json"),
        summary=summary,
        status=facts.status_line(summary),
        headlines=facts.headlines(summary),
        federations=_federations(summary),
        model=_model(run),
        energy=_energy(run.energy),
        methods=sorted({_method(record) for record in run.energy}),
        figures={name: Markup(svg) for name, svg in _figures(run).items()},
        files=[
            (name, (run.path / name).stat().st_size)
            for name in _FILES
            if (run.path / name).exists()
        ],
        size=facts.size,
    )


def _figures(run: RunDirectory) -> dict[str, str]:
    drawn = {}
    if run.rounds:
        drawn["accuracy"] = figures.accuracy_against_bytes(run.rounds)
        drawn["traffic"] = figures.bytes_by_round(run.rounds)
    if any(record.energy_j is not None for record in run.energy):
        drawn["energy"] = figures.energy_by_client(run.energy)
    return drawn


def _federations(summary: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Return the comparison, a row a figure, a column a federation."""
    both = [summary] + ([summary["baseline"]] if summary["baseline"] else [])
    rows: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        ("Test accuracy", lambda f: facts.percent(f["accuracy"])),
        ("Rounds", lambda f: f"{f['rounds']}" + (f" + {n}" if (n := f["recover_rounds"]) else "")),
        ("Updates", lambda f: f"{f['updates']:,}"),
        ("An upload, mean", lambda f: facts.size(f["uplink_bytes_per_update"])),
        ("Uplink", lambda f: facts.size(f["uplink_bytes"])),
        ("Downlink", lambda f: facts.size(f["downlink_bytes"])),
        ("Energy of all clients", lambda f: facts.joules(f["energy_j"])),
    ]
    return [(name, [text(figures) for figures in both]) for name, text in rows]


def _model(run: RunDirectory) -> dict[str, Any] | None:
    if not (run.path / "model" / "export.json").exists():
        return None
    export = run.read_json("model/export.json")
    checked = export["verification"]
    stages = [
        (
            title,
            facts.percent(checked["accuracy"][stage]),
            facts.percent(checked["agreement"][stage]),
            _microseconds(checked["latency_us_host"].get(stage)),
        )
        for stage, title in _STAGES.items()
    ]
    return {"export": export, "checked": checked, "stages": stages}


def _microseconds(value: float | None) -> str:
    return facts.UNKNOWN if value is None else f"{value:.1f} µs"


def _energy(records: Sequence[EnergyRecord]) -> list[tuple[str, int, str, str]]:
    """Return a row a phase, and one for all: records, processor seconds, joules."""
    phases = list(dict.fromkeys(record.phase for record in records))
    rows = [_energy_row(phase, [r for r in records if r.phase == phase]) for phase in phases]
    return [*rows, _energy_row("all", records)] if rows else []


def _energy_row(name: str, records: Iterable[EnergyRecord]) -> tuple[str, int, str, str]:
    of_it = list(records)
    cpu_s = sum(record.cpu_s for record in of_it)
    return name, len(of_it), f"{cpu_s:.2f} s", facts.joules(totals(of_it).as_summary())


def _method(record: EnergyRecord) -> str:
    word = "measured" if record.measured else "estimated"
    spread = "" if record.uncertainty_rel is None else f", ±{record.uncertainty_rel:.0%}"
    return f"{word} by {record.method} ({record.source}{spread})"
