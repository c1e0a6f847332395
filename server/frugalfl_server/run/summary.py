"""``summary.json``: the figures of a run, under names that scripts can rely on.

`docs/run-directory.md` says what each name means.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from frugalfl.energy import SERVER, spent, totals
from frugalfl.energy.record import known_sum
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.records import QUARANTINE, RoundRecord
from frugalfl_server.run.sealed import reading

OURS = "frugalfl"
BASELINE = "flower-fedavg-float32"
#: The pruned model's architecture, trained from scratch.
SLIM = "slim"
#: Where a run without training rounds keeps what the model scores that it begins with.
START = "start.json"
#: Where a run keeps why its training ended before the last round.
STOPPED = "stopped.json"
#: Where a run keeps which channels were to go, and which groups stay whole.
PRUNING = "pruning.json"
#: Where a run keeps by which codecs updates travel, if not by those that its settings name.
CODECS = "codecs.json"


def of_run(run: RunDirectory, status: str, reason: str | None) -> dict[str, Any]:
    """Compute the summary of a run, finished or not.

    Args:
        run: The run.
        status: ``finished``, ``interrupted`` or ``failed``.
        reason: Why it failed, if it did.
    """
    ours = [record for record in run.rounds if record.federation == OURS]
    own = totals(record for record in run.energy if record.client == SERVER)
    clients = spent(record for record in run.energy if record.client != SERVER)
    figures = (
        _figures(ours)
        | _start(run)
        | {
            "energy_idle_j": clients.idle_j,
            "server_energy_j": own.as_summary(),
            "carbon_g": clients.carbon_summary(),
            "server_carbon_g": own.carbon_summary(),
            "codecs": _codecs(run),
            "stopped": _kept(run, STOPPED, "why", str, None),
            "skipped": sum(record.skipped for record in ours),
            "left_whole": _kept(run, PRUNING, "whole", list, []),
            "set_aside": _kept(run, QUARANTINE, "set_aside", list, []),
            "never_trained": _kept(run, QUARANTINE, "never_trained", list, [], newer=True),
            **_of_export(run, "model"),
        }
    )
    baseline = [record for record in run.rounds if record.federation == BASELINE]
    slim = [record for record in run.rounds if record.federation == SLIM]
    return {
        "run": run.name,
        "status": status,
        "reason": reason,
        **figures,
        "baseline": _of_baseline(baseline) if baseline else None,
        "slim": _figures(slim) | _of_export(run, SLIM) if slim else None,
    }


def _of_baseline(rounds: Sequence[RoundRecord]) -> dict[str, Any]:
    """Return the figures of the baseline, with what its server took."""
    own = {
        "measured": known_sum(record.server_measured_j for record in rounds),
        "estimated": known_sum(record.server_estimated_j for record in rounds),
    }
    return _figures(rounds) | {"name": BASELINE, "server_energy_j": own}


def _figures(rounds: Sequence[RoundRecord]) -> dict[str, Any]:
    """Return the figures that the federation and its baseline both have."""
    trained = [record for record in rounds if record.phase == "train"]
    scored = _scored(rounds)
    uplink = sum(record.uplink_bytes for record in rounds)
    sent = sum(record.uplink_bytes for record in trained)
    uploads = sum(map(_uploads, trained))
    return {
        "accuracy": scored.accuracy if scored else None,
        "metrics": dict(scored.metrics) if scored else {},
        "rounds": len(trained),
        "recover_rounds": sum(record.phase == "recover" for record in rounds),
        "updates": sum(record.updates for record in rounds),
        "uplink_bytes": uplink,
        "downlink_bytes": sum(record.downlink_bytes for record in rounds),
        "program_bytes": sum(record.program_bytes for record in rounds),
        # Of the whole model only: pruned ones are smaller, and the baseline prunes nothing.
        "uplink_bytes_per_update": sent / uploads if uploads else None,
        "energy_j": {
            "measured": known_sum(record.energy_measured_j for record in rounds),
            "estimated": known_sum(record.energy_estimated_j for record in rounds),
        },
        "wall_s": sum(record.wall_s for record in rounds),
        "simulated_s": known_sum(record.simulated_s for record in rounds),
    }


def _uploads(record: RoundRecord) -> int:
    """Return how many frames a round's bytes are of; older runs know those that counted."""
    return record.updates if record.uploads is None else record.uploads


def _codecs(run: RunDirectory) -> dict[str, str] | None:
    """Return by which codecs updates travel, each way; a run of trees has none."""
    with reading(run.path / "run.json"):
        settings = run.read_json("run.json")["settings"]
        if settings.get("trees"):
            return None
        return {way: _kept(run, CODECS, way, str, settings[way]) for way in ("uplink", "downlink")}


def _start(run: RunDirectory) -> dict[str, Any]:
    """Return the scores of the model that a run begins with, where no round trains."""
    if not os.path.lexists(run.path / START):
        return {}
    known = run.read_json(START)
    with reading(run.path / START):
        accuracy = known["accuracy"]
        if not isinstance(accuracy, float | None):
            raise ValueError(f"its accuracy is {accuracy!r:.40}")
        return {"accuracy": accuracy, "metrics": dict(known["metrics"])}


def _scored(rounds: Sequence[RoundRecord]) -> RoundRecord | None:
    """Return the row with the scores of the model as training left it, unpruned.

    Without public rows, a round's scores are of the model that it began with; where nothing is
    pruned, calibration has those of the last one.
    """
    unpruned = takewhile(lambda record: record.phase != "recover", rounds)
    scored = [record for record in unpruned if record.phase in ("train", "calibrate")]
    return scored[-1] if scored and scored[0].phase == "train" else None


def _kept(
    run: RunDirectory, name: str, key: str, kind: type, otherwise: Any, newer: bool = False
) -> Any:
    """Return one value of a file that not every run has; older files lack what is newer."""
    if not os.path.lexists(run.path / name):
        return otherwise
    known = run.read_json(name)
    with reading(run.path / name):
        value = known.get(key, otherwise) if newer else known[key]
        if not isinstance(value, kind):
            raise ValueError(f"its {key} is {value!r:.40}")
        return value


def _of_export(run: RunDirectory, folder: str) -> dict[str, Any]:
    path = run.path / folder / "export.json"
    if not os.path.lexists(path):
        return {"accuracy_int8": None, "metrics_int8": {}, "model": None}
    export = run.read_json(f"{folder}/export.json")
    with reading(path, "make it anew with: frugalfl export RUN"):
        return _figures_of(export)


def _figures_of(export: Mapping[str, Any]) -> dict[str, Any]:
    proof = export["verification"]
    metrics = proof.get("metrics", {})  # older exports have none
    return {
        "accuracy_int8": _of_int8(proof["accuracy"]),
        "metrics_int8": {name: _of_int8(by_stage) for name, by_stage in metrics.items()},
        "model": {
            name: export[name]
            for name in ("parameters", "float_bytes", "int8_bytes", "arena_bytes")
        },
    }


def _of_int8(by_stage: Mapping[str, float | None]) -> float | None:
    micro = by_stage["tflite_micro_int8"]
    return by_stage["litert_int8_reference"] if micro is None else micro
