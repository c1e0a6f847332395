"""The parts of benchmarks/simulation.py that run ``frugalfl`` as somebody types it."""

from __future__ import annotations

import hashlib
import logging
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT

from frugalfl_server.run.open_run import open_run
from simulating.watched import Watched, watch
from simulating.workload import APP

DIGITS = ROOT / "simulations" / "digits"


def _simulate(folder: Path, *changes: str, threads: int = 1) -> tuple[Watched, Path]:
    """Simulate the workload's app; return what was seen, and the run."""
    words = ("simulate", APP, "--runs", folder, *changes)
    seen = watch(words, ROOT, threads=threads)
    return seen, (folder / "latest").resolve()


def _sized(clients: int, cohort: int, rounds: int) -> tuple[str, ...]:
    return (f"clients={clients}", f"clients-per-round={cohort}", f"rounds={rounds}")


def time_with_codec(clients: int, cohort: int, quick: bool) -> dict[str, Any]:
    """Run the workload with messages, codecs, plan, records and checkpoints."""
    with tempfile.TemporaryDirectory() as folder:
        seen, run = _simulate(Path(folder), *_sized(clients, cohort, 10 if quick else 60))
        opened = open_run(run)
        rows = opened.rounds.to_pylist()
        return {
            "updates_per_s": cohort / seen.round_s,
            "updates_per_s_median": cohort / seen.middle_round_s,
            "round_ms": 1e3 * seen.round_s,
            "rounds": len(rows),
            "accuracy": rows[-1]["accuracy"],
            "uplink_bytes_per_update": sum(r["uplink_bytes"] for r in rows)
            / sum(r["updates"] for r in rows),
            "chosen": _chosen(seen),
            "whole_s": seen.seconds,
        }


def _chosen(seen: Watched) -> list[str]:
    """Return what the run said that it chose by itself."""
    told = (line.strip() for line in seen.said)
    return [
        line
        for line in told
        if line.startswith(("refresh =", "trainer =", "engine =", "updates travel"))
    ]


def measure_costs(quick: bool) -> dict[str, Any]:
    """Measure the parts of a client-update, on the records of a run that is made for it."""
    from simulating.costs import costs

    logging.getLogger("flwr").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        _, run = _simulate(Path(folder), *_sized(40, 20, 6))
        return dict(costs(run, 0.2 if quick else 1.0))


def run_ten_thousand(quick: bool) -> dict[str, Any]:
    """Run the large federation in a process of its own."""
    clients, cohort, rounds = (500, 50, 10) if quick else (10_000, 500, 100)
    with tempfile.TemporaryDirectory() as folder:
        seen, run = _simulate(Path(folder), *_sized(clients, cohort, rounds))
        last = open_run(run).rounds.to_pylist()[-1]
    return {
        "clients": clients, "cohort": cohort, "rounds": rounds, "seconds": seen.seconds,
        "peak_mb": seen.peak_mb, "first_round_s": seen.rounds_s[0], "round_s": seen.round_s,
        "accuracy": last["accuracy"], "chosen": _chosen(seen),
    }  # fmt: skip


def growth_of(quick: bool) -> dict[str, Any]:
    """Time rounds of other sizes: by clients a round, and by number of clients."""
    cohorts = (20, 40) if quick else (50, 100, 200, 400)
    fleets = (100, 400) if quick else (200, 2_000, 10_000)
    rounds, cohort, fleet = (8, 20, 100) if quick else (25, 100, 2_000)
    by_cohort = [_point(fleet, one, rounds) for one in cohorts]
    by_clients = [_point(one, cohort, rounds) for one in fleets]
    return {"by_cohort": by_cohort, "by_clients": by_clients}


def _point(clients: int, cohort: int, rounds: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        seen, _ = _simulate(Path(folder), *_sized(clients, cohort, rounds))
    return {
        "clients": clients, "cohort": cohort, "round_ms": 1e3 * seen.middle_round_s,
        "us_per_update": 1e6 * seen.middle_round_s / cohort, "peak_mb": seen.peak_mb,
    }  # fmt: skip


def time_first_round(quick: bool) -> dict[str, Any]:
    """Time from the prompt to the first round's line; the middle of several."""
    times = []
    with tempfile.TemporaryDirectory() as folder:
        # The first of all may compile a training program, once a machine: it does not count.
        for _ in range(2 if quick else 4):
            seen = watch(("simulate", DIGITS, "--runs", folder), ROOT, stop_after=1)
            times.append(seen.rounds_s[0])
    return {"first_round_s": statistics.median(times[1:]), "each_s": times}


def run_demo(quick: bool) -> dict[str, Any]:
    """Run what `make demo` runs; its first phase is the rounds that are meant."""
    fewer = ("rounds=10", "recover-rounds=5") if quick else ()
    with tempfile.TemporaryDirectory() as folder:
        words = ("simulate", DIGITS, "--baseline", "--runs", folder, *fewer)
        seen = watch(words, ROOT)
        opened = open_run((Path(folder) / "latest").resolve())
        mine = [row for row in opened.rounds.to_pylist() if row["federation"] == "frugalfl"]
        trained = [row for row in mine if row["phase"] == "train"]
        return {
            "rounds_s": sum(row["wall_s"] for row in trained),
            "rounds": len(trained),
            "whole_s": seen.seconds,
            "accuracy": trained[-1]["accuracy"],
            "chosen": _chosen(seen),
        }


def compare_threads(quick: bool) -> dict[str, Any]:
    """Run the same seeds with one and with two threads of the numerical libraries."""
    digests, counted = [], []
    for threads in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            _, run = _simulate(Path(folder), *_sized(100, 20, 6 if quick else 20), threads=threads)
            rows = open_run(run).rounds.to_pylist()
            digests.append(model_digest(run))
            counted.append([(row["uplink_bytes"], row["downlink_bytes"]) for row in rows])
    return {
        "same_model": digests[0] == digests[1], "same_bytes": counted[0] == counted[1],
        "digest": digests[0],
    }  # fmt: skip


def model_digest(run: Path) -> str:
    """Return the SHA-256 of a run's last model: names and values."""
    digest = hashlib.sha256()
    with np.load(run / "checkpoints" / "model.npz") as held:
        for name in sorted(held.files):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(held[name]).tobytes())
    return digest.hexdigest()


def kill_a_sweep(quick: bool) -> dict[str, Any]:
    """Kill a sweep in the middle, and let it go on."""
    from simulating.sweeps import kill_and_resume

    return kill_and_resume(3 if quick else 4)
