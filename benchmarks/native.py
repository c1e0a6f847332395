"""The compiled core beside its Python reference, beside Flower, and in the demo's joules.

    python benchmarks/native.py [--quick] [--json FILE] [--only PART ...] [--reuse FILE ...]

Parts:

- *frames*: the demo's frames, of all 38,282 parameters of the digits CNN: an update as a client
  encodes it, and a mean of updates as the server sends it down. Whole frames (header, checksum,
  checks, rounding and coder), `encode_frame` and `decode_frame`; microseconds of processor time,
  the median of many. Each side in a process of its own, of the same frames: with the core, and
  with FRUGALFL_NATIVE=0. The frames must be the same bytes.
- *small*: the same of a vector of 1,024 small integers, what a subspace sends, both ways.
- *million*: the same of `nearest(1.27 sigma) | range` on 994,570 parameters, in MB of float32 a
  second.
- *sums*: 200 updates of 994,570 parameters summed, against Flower's FedAvg on dense arrays in the
  same run (benchmarks/aggregate.py says what is timed): the demo's kind of frame and sparse ones.
- *demo*: simulations/digits beside its float32 baseline, three seeds: joules (estimated) of the
  clients in its 80 rounds, of the whole run with server, calibration and recovery, and the wall
  time of the 80 rounds; each as a ratio to the baseline's. Training programs are compiled once a
  machine: a first run with an empty cache pays for that and is told apart (*cold*); the three
  others find them there.
- *built*: bytes of each wheel, and of the core for each target, as they lie in dist/ (`make
  wheels`); a dash if they were not built.

--quick: few repetitions, 20 updates, one seed, few rounds.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import aggregate
import numpy as np
import torch
from codec import SEED, cnn, mlp, updates
from common import ROOT, finish, parser_of

from frugalfl import native
from frugalfl.blocks import Layout, Parameters
from frugalfl.codec import Limits, decode_frame, encode_frame, parse_codec
from frugalfl_server.run.open_run import open_run
from frugalfl_sim.apps import read_settings
from frugalfl_sim.simulate import simulate_app

PARTS = ("frames", "small", "million", "sums", "demo", "built")
DEMO_CODECS = {"uplink": "stochastic(auto) | range", "downlink": "dyadic(auto) | range"}
SMALL_CODECS = {"uplink": "dithered(0.5 sigma) | rans", "downlink": "dyadic(90%) | rans"}
MILLION = "nearest(1.27 sigma) | range"
#: By the figure of the summary that the slowest of them is.
SUMMED = {
    "range": ("feedback | topk(0.1%) | sign | range", "stochastic(64 sigma) | range"),
    "rows": ("feedback | topk(0.1%) | sign | range(rows)",),
    "golomb": ("feedback | topk(0.1%) | sign | golomb", "stochastic(64 sigma) | golomb"),
}
COORDINATES = 1024
DIGITS = ROOT / "simulations" / "digits"
SEEDS = (0, 1, 2)


def median_us(call: Callable[[], Any], seconds: float) -> float:
    """Return the median processor time of a call (µs)."""
    times = []
    until = time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < until:
        start = time.thread_time_ns()
        call()
        times.append(time.thread_time_ns() - start)
    return statistics.median(times) / 1000


def time_frame(text: str, update: Parameters, seconds: float) -> dict[str, Any]:
    """Encode and decode a frame again and again."""
    codec, layout = parse_codec(text), Layout.of(update)
    limits = Limits.of(layout)

    def encode() -> bytes:
        return encode_frame(codec, layout, update, base=1, version=1, seed=SEED)[0]

    frame = encode()
    return {
        "bytes": len(frame),
        "frame": frame.hex() if len(frame) < 1 << 16 else None,
        "encode_us": median_us(encode, seconds),
        "decode_us": median_us(lambda: decode_frame(frame, limits), seconds),
    }


def apart(core: bool, function: Callable[..., Any], *given: Any) -> Any:
    """Call in a process of its own, with the core or without."""
    os.environ["FRUGALFL_NATIVE"] = "1" if core else "0"
    try:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply(function, given)
    finally:
        del os.environ["FRUGALFL_NATIVE"]


def both(text: str, update: Parameters, seconds: float) -> dict[str, Any]:
    """Time a frame with the core and with the reference.

    Raises:
        SystemExit: They are not the same bytes.
    """
    fast = apart(True, time_frame, text, update, seconds)
    slow = apart(False, time_frame, text, update, seconds)
    if fast.pop("frame") != slow.pop("frame") or fast["bytes"] != slow["bytes"]:
        sys.exit(f"{text}: the core and its reference write different bytes")
    megabytes = sum(tensor.nbytes for tensor in update.values()) / 1e6
    row: dict[str, Any] = {"codec": text, "bytes": fast["bytes"]}
    for way in ("encode", "decode"):
        us, reference = fast[f"{way}_us"], slow[f"{way}_us"]
        row |= {
            f"{way}_us": us,
            f"{way}_us_python": reference,
            f"{way}_times_faster": reference / us,
            f"{way}_mb_s": megabytes / us * 1e6,
            f"{way}_mb_s_python": megabytes / reference * 1e6,
        }
    print(
        f"{text:36} {row['bytes']:>8,} B  encode {row['encode_us']:>9,.0f} µs "
        f"({row['encode_times_faster']:.1f} times faster)  decode {row['decode_us']:>9,.0f} µs "
        f"({row['decode_times_faster']:.1f} times)",
        flush=True,
    )
    return row


def mean_of(several: list[Parameters]) -> Parameters:
    return {name: np.mean([one[name] for one in several], 0) for name in several[0]}


def frames(quick: bool) -> dict[str, Any]:
    """Time the demo's frames."""
    real = updates(cnn, 4)
    seconds = 0.2 if quick else 3.0
    return {
        way: both(text, real[0] if way == "uplink" else mean_of(real), seconds)
        for way, text in DEMO_CODECS.items()
    }


def small(quick: bool) -> dict[str, Any]:
    """Time a subspace's coordinates."""
    drawn = np.random.default_rng(SEED).normal(0, 0.01, COORDINATES).astype(np.float32)
    on_lattice = {"z": np.rint(drawn * 2**9).astype(np.float32) / np.float32(2**9)}
    seconds = 0.2 if quick else 2.0
    return {
        way: both(text, {"z": drawn} if way == "uplink" else on_lattice, seconds)
        for way, text in SMALL_CODECS.items()
    }


def million(quick: bool) -> dict[str, Any]:
    """Time frames of a million parameters."""
    return both(MILLION, updates(mlp, 1)[0], 0.2 if quick else 4.0)


def sums(quick: bool) -> dict[str, Any]:
    """Sum updates, with the core, without it, and as Flower does."""
    clients, repeats = (20, 1) if quick else (200, 3)
    real = updates(mlp, aggregate.REAL)
    base = apart(True, aggregate.flower, real, clients, repeats)
    print(f"Flower's FedAvg, {clients} updates: {1e3 * base['cpu_s']:.0f} ms")
    found: dict[str, Any] = {"updates": clients, "flower": base}
    for kind, texts in SUMMED.items():
        for text in texts:
            coded = aggregate.encoded(text, real, 0)
            row = apart(True, aggregate.only_sum, coded, clients, repeats)
            whole = apart(True, aggregate.ours, text, real, clients, repeats)
            few = max(clients // 20, 2)
            python = apart(False, aggregate.only_sum, coded, few, 1)["cpu_s"] * clients / few
            found[text] = {
                "kind": kind,
                "bytes_per_update": statistics.fmean(map(len, coded)),
                "sum": row,
                "strategy": whole,
                "times_faster": base["cpu_s"] / row["cpu_s"],
                "strategy_times_faster": base["cpu_s"] / whole["cpu_s"],
                "python_times_faster": base["cpu_s"] / python,
            }
            print(
                f"{text:40} sum {1e3 * row['cpu_s']:>8.1f} ms, {found[text]['times_faster']:.2f} "
                f"times faster (the reference {found[text]['python_times_faster']:.3f}); "
                f"strategy {found[text]['strategy_times_faster']:.2f} times",
                flush=True,
            )
    return found


def joules(run: Path) -> dict[str, float]:
    """Return the joules and the seconds of a run, and its baseline's, by part (J, s)."""
    opened = open_run(run)
    # Flower's FedAvg and ours write the same table; the baseline's rows stand under its name.
    found: dict[str, float] = {}
    for row in opened.rounds.to_pylist():
        if row["phase"] == "train":
            for key, column in (("clients_j", "energy_estimated_j"), ("rounds_s", "wall_s")):
                name = f"{'baseline_' if row['federation'] != 'frugalfl' else ''}{key}"
                found[name] = found.get(name, 0.0) + row[column]
    return found


def demo_run(seed: int, quick: bool) -> dict[str, float]:
    """Run the demo once, one client after the other: joules are compared with the baseline's."""
    changes = [
        f"seed={seed}",
        "engine=sequential",
        *(["rounds=10", "recover-rounds=5"] if quick else []),
    ]
    with tempfile.TemporaryDirectory() as folder:
        run = simulate_app(DIGITS, read_settings(DIGITS, changes), Path(folder), baseline=True)
        summary = run.read_json("summary.json")
        parts = joules(run.path)
    server = summary["server_energy_j"]["estimated"]
    base = summary["baseline"]
    base_whole = base["energy_j"]["estimated"] + base["server_energy_j"]["estimated"]
    return {
        **parts,
        "accuracy": summary["accuracy"],
        "accuracy_int8": summary["accuracy_int8"],
        "baseline_accuracy": base["accuracy"],
        "whole_j": summary["energy_j"]["estimated"] + server,
        "baseline_whole_j": base_whole,
        "client_ratio": parts["clients_j"] / parts["baseline_clients_j"],
        "whole_ratio": (summary["energy_j"]["estimated"] + server) / base_whole,
        "wall_ratio": parts["rounds_s"] / parts["baseline_rounds_s"],
    }


def demo(quick: bool) -> dict[str, Any]:
    """Run the demo on each seed; mean, lowest and highest of each figure."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        cold = apart(True, demo_run, SEEDS[0], quick)
        rows = [apart(True, demo_run, seed, quick) for seed in (SEEDS[:1] if quick else SEEDS)]
        del os.environ["XDG_CACHE_HOME"]
    found: dict[str, Any] = {"seeds": len(rows), "cold": cold}
    print(f"demo: cold, whole_ratio {cold['whole_ratio']:.3f}, {cold['whole_j']:.1f} J")
    for name in rows[0]:
        values = [row[name] for row in rows]
        found[name] = {"mean": statistics.fmean(values), "low": min(values), "high": max(values)}
        print(f"demo: {name:22} {found[name]['mean']:.3f} ({min(values):.3f} to {max(values):.3f})")
    return found


def built(_: bool) -> dict[str, Any]:
    """Return the sizes (B) of what `make wheels` left in dist/."""
    folder = ROOT / "dist"
    wheels = {path.name: path.stat().st_size for path in sorted(folder.glob("*.whl"))}
    targets = sorted((folder / "core").glob("*")) if (folder / "core").is_dir() else []
    return {"wheels": wheels, "core_bytes": {path.name: path.stat().st_size for path in targets}}


def summary_of(found: dict[str, Any]) -> dict[str, Any]:
    """Return the figures that stand for the whole, `None` for those that were not measured."""

    def least(kind: str) -> float | None:
        rows = [r for r in found.get("sums", {}).values() if isinstance(r, dict)]
        return min((r["times_faster"] for r in rows if r.get("kind") == kind), default=None)

    ways = list(found.get("frames", {}).values())
    vectors = list(found.get("small", {}).values())
    runs = found.get("demo", {})
    return {
        "decode_us": max((row["decode_us"] for row in ways), default=None),
        "encode_us": max((row["encode_us"] for row in ways), default=None),
        "speedup_over_python": min(
            (row[f"{way}_times_faster"] for row in ways for way in ("encode", "decode")),
            default=None,
        ),
        "small_vector_us": max(
            (row[f"{way}_us"] for row in vectors for way in ("encode", "decode")), default=None
        ),
        "encode_mb_s": found.get("million", {}).get("encode_mb_s"),
        "decode_mb_s": found.get("million", {}).get("decode_mb_s"),
        "range_sum_times_faster": least("range"),
        "range_rows_sum_times_faster": least("rows"),
        "golomb_sum_times_faster": least("golomb"),
        "demo_client_joules_ratio": runs.get("client_ratio", {}).get("mean"),
        "demo_whole_joules_ratio": runs.get("whole_ratio", {}).get("mean"),
        "demo_wall_ratio": runs.get("wall_ratio", {}).get("mean"),
        **(found.get("built") or {"wheels": None, "core_bytes": None}),
    }


def main() -> None:
    """Measure the parts that were asked for."""
    parser = parser_of(__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART")
    parser.add_argument(
        "--reuse", type=Path, nargs="+", default=[], metavar="FILE",
        help="keep an earlier run's figures (--json) of the parts that are not run again",
    )  # fmt: skip
    options = parser.parse_args()
    if native.core() is None:
        sys.exit(f"there is no compiled core to measure: {native.state()}")
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    for file in options.reuse:
        found |= json.loads(file.read_text(encoding="utf-8"))["parts"]
    found |= {part: globals()[part](options.quick) for part in PARTS if part in options.only}
    finish(options, {**summary_of(found), "parts": found})


if __name__ == "__main__":
    sys.exit(main())
