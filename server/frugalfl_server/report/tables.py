"""The rows of the page's tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frugalfl.energy.many_ledgers import FILE as MANY_LEDGERS
from frugalfl.metrics import number
from frugalfl.sizes import size_text
from frugalfl_server.report.run_facts import Facts
from frugalfl_server.report.texts import (
    carbon,
    duration,
    energy,
    less,
    less_energy,
    percent,
    whole_energy,
)

#: Stages of the proof in the order a model goes through them: name, file, key of the file's size.
STAGES = (
    ("pytorch", "PyTorch", None),
    ("litert_float", "LiteRT float", "float_bytes"),
    ("litert_int8", "LiteRT int8", "int8_bytes"),
    ("litert_int8_reference", "LiteRT int8, reference kernels", "int8_bytes"),
    ("tflite_micro_int8", "TFLite-Micro int8", "int8_bytes"),
)


@dataclass(frozen=True)
class ComparisonRow:
    """One figure of the federation beside the baseline's."""

    name: str
    ours: str
    baseline: str
    difference: str


@dataclass(frozen=True)
class SlimRow:
    """The pruned model, or its architecture trained from scratch."""

    name: str
    rounds: str
    accuracy: str
    accuracy_int8: str
    traffic: str
    energy: str
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class ModelRow:
    """One stage of the exported model."""

    stage: str
    file: str
    arena: str
    accuracy: str
    agreement: str
    latency: str
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class File:
    """A file of the run, or a folder with what is in it."""

    path: str
    size: str


def comparison_rows(facts: Facts) -> list[ComparisonRow]:
    """Return the federation beside the baseline; dashes if there is no baseline."""
    if not facts.ours:
        return []
    ours, other = facts.summary, facts.summary["baseline"] or {}
    apart = facts.trained_at_once
    return [
        *_metric_rows(facts, other),
        *_accuracy_rows(facts, ours["accuracy"], other.get("accuracy")),
        ComparisonRow("rounds", _rounds(ours), _rounds(other), ""),
        ComparisonRow(
            "updates", f"{ours['updates']:,}", f"{other['updates']:,}" if other else "–", ""
        ),
        _bytes_row("uplink", ours["uplink_bytes"], other.get("uplink_bytes")),
        _bytes_row("downlink", ours["downlink_bytes"], other.get("downlink_bytes")),
        _bytes_row("both directions", facts.total_bytes, facts.baseline_bytes or None),
        *_to_target(facts),
        _bytes_row(
            "uplink per update before pruning",
            ours["uplink_bytes_per_update"],
            other.get("uplink_bytes_per_update"),
        ),
        _energy_row("energy on the clients", ours["energy_j"], other.get("energy_j"), apart),
        *_carbon_rows(facts),
        _energy_row("energy on the server", ours["server_energy_j"], other.get("server_energy_j")),
        _energy_row(
            "energy of the whole run",
            whole_energy(ours),
            whole_energy(other) if other else None,
            apart,
        ),
        ComparisonRow(
            "wall time of the rounds",
            duration(ours["wall_s"]),
            duration(other["wall_s"]) if other else "–",
            "",
        ),
        *_simulated_time(
            ours["simulated_s"],
            other.get("simulated_s"),
            str(facts.about["settings"].get("fleet", "")),
        ),
    ]


def _simulated_time(ours: float | None, other: float | None, fleet: str) -> list[ComparisonRow]:
    if ours is None:
        return []
    shown = "–" if other is None else duration(other)
    clock = f"on the simulated clock, {fleet}" if fleet else "with the simulated delays"
    return [ComparisonRow(f"wall time {clock}", duration(ours), shown, "")]


def _accuracy_rows(facts: Facts, ours: float | None, other: float | None) -> list[ComparisonRow]:
    if not facts.has_accuracy:
        return []
    return [_accuracy_row("accuracy after training", ours, other), *_recovery(facts, other)]


def _accuracy_row(name: str, ours: float | None, other: float | None) -> ComparisonRow:
    apart = ""
    if ours is not None and other is not None:
        apart = f"{(ours - other) * 100:+.1f} points".replace("-", "−")
    return ComparisonRow(name, percent(ours), percent(other), apart)


def _metric_rows(facts: Facts, other: Mapping[str, Any]) -> list[ComparisonRow]:
    rows = []
    for name in facts.metrics:
        theirs = other.get("metrics", {}).get(name)
        moments = [("training", facts.summary["metrics"].get(name))]
        if facts.recovered:
            moments.append(("pruning and recovery", facts.ours[-1].metrics[name]))
        for moment, ours in moments:
            known = ours is not None and theirs is not None
            apart = _apart(ours - theirs) if known else ""
            rows.append(
                ComparisonRow(
                    f"{facts.name_of(name)} after {moment}", number(ours), number(theirs), apart
                )
            )
    return rows


def _apart(difference: float) -> str:
    """Return a difference of two measures with its sign."""
    return f"{'−' if difference < 0 else '+'}{number(abs(difference))}"


def _recovery(facts: Facts, other: float | None) -> list[ComparisonRow]:
    if not facts.recovered:
        return []
    return [_accuracy_row("accuracy after pruning and recovery", facts.ours[-1].accuracy, other)]


def _rounds(figures: Mapping[str, Any]) -> str:
    if not figures:
        return "–"
    recover = figures["recover_rounds"]
    return f"{figures['rounds']} + {recover} recovery" if recover else str(figures["rounds"])


def slim_rows(facts: Facts) -> list[SlimRow]:
    """Return the pruned model and the one trained slim from scratch; empty without the latter."""
    if not facts.slim:
        return []
    pruned = ("pruned", facts.ours, facts.summary)
    scratch = ("slim from scratch", facts.slim, facts.summary["slim"])
    return [
        SlimRow(
            name=name,
            rounds=str(len(rounds)),
            accuracy=percent(rounds[-1].accuracy),
            accuracy_int8=percent(figures["accuracy_int8"]),
            traffic=size_text(figures["uplink_bytes"] + figures["downlink_bytes"]),
            energy=energy(figures["energy_j"]),
            metrics=tuple(
                f"{number(rounds[-1].metrics.get(metric))}, "
                f"int8 {number(figures['metrics_int8'].get(metric))}"
                for metric in facts.metrics
            ),
        )
        for name, rounds, figures in (pruned, scratch)
    ]


def _bytes_row(name: str, ours: float | None, other: float | None) -> ComparisonRow:
    return ComparisonRow(
        name,
        "–" if ours is None else size_text(ours),
        "–" if other is None else size_text(other),
        less(ours, other) if ours and other else "",
    )


def _to_target(facts: Facts) -> list[ComparisonRow]:
    """Return the bytes to the same accuracy: totals flatter whoever stops early."""
    if not facts.baseline:
        return []
    reached = [facts.bytes_to_target(rounds) for rounds in (facts.ours, facts.baseline)]
    target = f"{facts.score_text(facts.target)} {facts.drawn}"
    return [_bytes_row(f"both directions, to {target}", *reached)]


def _energy_row(
    name: str,
    ours: Mapping[str, float | None],
    other: Mapping[str, float | None] | None,
    at_once: bool = False,
) -> ComparisonRow:
    if not other:
        return ComparisonRow(name, energy(ours), "–", "")
    how = "not obtained alike" if at_once else less_energy(ours, other)
    return ComparisonRow(name, energy(ours), energy(other), how)


def _carbon_rows(facts: Facts) -> list[ComparisonRow]:
    if not facts.grids:
        return []
    return [ComparisonRow("carbon of the clients", carbon(facts.summary["carbon_g"]), "–", "")]


def model_rows(facts: Facts) -> list[ModelRow]:
    """Return one row a stage of the exported model."""
    if facts.export is None:
        return []
    export, proof = facts.export, facts.export["verification"]
    rows = []
    for stage, name, size in STAGES:
        latency = proof["latency_us_host"].get(stage)
        micro = stage == "tflite_micro_int8"
        rows.append(
            ModelRow(
                stage=name,
                file="–" if size is None else size_text(export[size]),
                arena=size_text(export["arena_bytes"]) if micro and export["arena_bytes"] else "–",
                accuracy=percent(proof["accuracy"][stage]),
                agreement=percent(proof["agreement"][stage]),
                latency="–" if latency is None else f"{latency:.1f} µs",
                metrics=tuple(number(one[stage]) for one in proof.get("metrics", {}).values()),
            )
        )
    return rows


def _row_note(proof: Mapping[str, Any]) -> str:
    """Say that the rows are nobody's, if the server had none."""
    if not proof.get("drawn"):  # older exports do not say
        return ""
    return " drawn within the clients' ranges: how good the int8 model is, is not known"


def model_facts(facts: Facts) -> list[tuple[str, str]]:
    """Return what holds for the exported model as a whole: name and value."""
    if facts.export is None:
        return []
    export, proof = facts.export, facts.export["verification"]
    most, share = proof["micro_max_lsb"], proof["micro_bytes_differing"]
    apart = "– (not checked: TFLite-Micro was not installed on the host that exported)"
    if most is not None:
        apart = f"at most {most} of 255 steps; {share * 100:.2f} % of the output bytes differ"
    return [
        ("parameters", f"{export['parameters']:,}"),
        ("multiply-accumulates per row", f"{export['macs']:,}"),
        ("test rows", f"{proof['rows']:,}{_row_note(proof)}"),
        ("TFLite-Micro against LiteRT's reference kernels", apart),
        ("SQNR, int8 against float", f"{proof['sqnr_db']:.1f} dB"),
        ("operators", ", ".join(_count_text(proof["operators"]))),
    ]


def _count_text(operators: Sequence[str]) -> list[str]:
    return [
        f"{operators.count(one)} × {one}" if operators.count(one) > 1 else one
        for one in dict.fromkeys(operators)
    ]


def run_files(folder: Path) -> list[File]:
    """Return the run's files by relative path; of ``devices`` only the folder."""
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not path.name.startswith(".")
        and path.relative_to(folder).parts[0] not in ("devices", "report.html")
    ]
    files = [File(str(path.relative_to(folder)), size_text(path.stat().st_size)) for path in found]
    devices = folder / "devices"
    if devices.is_dir():
        count = sum(1 for path in devices.glob("client-*") if path.is_dir())
        each = f"{count} clients: ledger and store of each"
        together = (devices / MANY_LEDGERS).is_file()
        files.append(File("devices/", "ledgers and stores of all clients" if together else each))
    return files
