"""Simulated federations a second: FrugalFL beside every peer, on one identical workload.

    python benchmarks/simulation.py [--quick] [--json FILE] [--only PART ...] [--reuse FILE]
                                    [--peers NAME ...] [--venvs FOLDER] [--index URL]

The workload: 1,797 digits of 64 numbers, an MLP 64-32-10 (2,410 parameters, float32), 100 clients
of 17 or 18 rows each, drawn without regard to their classes (IID), 20 clients a round, one local
epoch, batches of 16 (two steps a client), SGD 0.1, a mean weighted by rows; no compression, no
evaluation. The larger one has 1,000 clients with as many rows each, 100 a round. Every peer runs
in a process of its own, one after the other, on 2 cores, as its documents recommend; where there
are two ways (one or two threads or processes) the faster counts, and both are kept. All begin
with the same model, and each says how good the model is after 60 rounds (25 of the larger
workload), on all images: it must have trained. A speed is a round's clients over the median time of
a round; the first five rounds do not count, of anybody: compiling and late imports are in them.

Each peer is installed by pip into an environment of its own, which is kept for the next time; it
may take 2 GB on disk. A peer that cannot be installed, or fails, is a dash with one line why.

Parts:

- *engines*, *engines_large*: the above; FrugalFL's engine alone.
- *codec*: the same under Flower's FedAvg wrapped by FrugalStrategy, what `frugalfl simulate` does:
  real messages, default codecs and plan, energy records, checkpoints. The mean time of a round by
  the clock of who watches its lines, everything in it.
- *costs*: what a message, a frame, the energy records and a training step cost each, processor
  time of both ends for one client-update.
- *cnn*: the digits CNN (38,282 parameters), 1,000 clients, 100 a round, beside the plain loop.
- *ten_thousand*: 10,000 clients, 500 a round, 100 rounds with compression: the whole process, from
  prompt to end, and its peak memory.
- *growth*: time of a round by clients a round (of 2,000) and by number of clients (100 a round).
- *start*: from prompt to the first round's line, `frugalfl simulate simulations/digits`.
- *demo*: the rounds of the first phase of `frugalfl simulate simulations/digits --baseline`, what
  `make demo` runs.
- *threads*: whether one and two threads of the numerical libraries give the same bytes.
- *sweep*: whether a killed `frugalfl sweep` goes on where it was.

--quick: few rounds and clients; --peers: only these; --venvs: where environments are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

from common import ROOT, finish, parser_of
from simulating.environments import CannotRunError, default_folder
from simulating.federations import (
    compare_threads,
    growth_of,
    kill_a_sweep,
    measure_costs,
    run_demo,
    run_ten_thousand,
    time_first_round,
    time_with_codec,
)
from simulating.peers import PEERS, Peer
from simulating.runs import measure_peer
from simulating.workload import write_workload

#: Clients and clients a round, by part.
WORKLOADS = {"engines": (100, 20), "engines_large": (1000, 100)}
ROUNDS = {"engines": 60, "engines_large": 25}
_OURS = ("loop", "frugalfl")


def engines(options: argparse.Namespace, part: str = "engines") -> dict[str, Any]:
    """Run every peer on the workload."""
    rounds, seconds = (12, 0.2) if options.quick else (ROUNDS[part], 2.0)
    found = {}
    for name in options.peers:
        found[name] = measure(options, PEERS[name], WORKLOADS[part], rounds, seconds)
    return found


def engines_large(options: argparse.Namespace) -> dict[str, Any]:
    """Run every peer on the larger workload."""
    return engines(options, "engines_large")


def cnn(options: argparse.Namespace) -> dict[str, Any]:
    """Run the loop and ours on the CNN."""
    rounds, seconds = (12, 0.2) if options.quick else (25, 4.0)
    found = {}
    for name in _OURS:
        peer = PEERS[name]
        ways = {way: (*given, "--net", "cnn") for way, given in peer.ways.items()}
        found[name] = measure(
            options, Peer(f"{peer.title}, CNN", peer.script, ways), (1000, 100), rounds, seconds
        )
    return found


def measure(
    options: argparse.Namespace, peer: Peer, size: tuple[int, int], rounds: int, seconds: float
) -> dict[str, Any]:
    """Run a peer on a workload of so many clients, and clients a round; say how that went."""
    more = ("--extra-index-url", options.index) if options.index else ()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "workload.npz"
        write_workload(data, *size)
        found = measure_peer(peer, data, rounds, seconds, options.venvs, more)
    told = found.get("why_not") or (
        f"{found['updates_per_s']:>10,.0f} client-updates/s ({found['way']}), "
        f"accuracy {found['accuracy']:.3f}, {found['version']}"
    )
    print(f"{size[0]:>6,} clients, {size[1]:>3} a round  {peer.title:56} {told}", flush=True)
    return found


def codec(options: argparse.Namespace) -> dict[str, Any]:
    """Run the workloads with everything that travels, and what it costs."""
    return {part: time_with_codec(*size, options.quick) for part, size in WORKLOADS.items()}


def costs(options: argparse.Namespace) -> dict[str, Any]:
    """Measure a message, a frame, the records; a step is of the engine."""
    return measure_costs(options.quick)


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "engines": engines,
    "engines_large": engines_large,
    "codec": codec,
    "costs": costs,
    "cnn": cnn,
    "ten_thousand": lambda options: run_ten_thousand(options.quick),
    "growth": lambda options: growth_of(options.quick),
    "start": lambda options: time_first_round(options.quick),
    "demo": lambda options: run_demo(options.quick),
    "threads": lambda options: compare_threads(options.quick),
    "sweep": lambda options: kill_a_sweep(options.quick),
}


def run_part(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Measure a part; one that cannot be says why in a line, and the others go on."""
    try:
        found = PARTS[name](options)
    except CannotRunError as error:
        found = {"why_not": str(error)}
    except Exception as error:  # a mistake in one part is no reason to lose the figures of others
        traceback.print_exc()
        found = {"why_not": f"{type(error).__name__}: {error}"}
    if name not in WORKLOADS:
        print(f"{name}: {json.dumps(found)}", flush=True)
    return found


def with_earlier(name: str, before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Return a part's figures; peers that were not run again keep theirs."""
    if name not in WORKLOADS:
        return now
    both = before | now
    return {peer: both[peer] for peer in PEERS if peer in both}


def summary_of(found: dict[str, Any]) -> dict[str, Any]:
    """Return the figures that stand for the whole, ``None`` for those that were not measured."""
    net, large = found.get("cnn", {}), found.get("ten_thousand", {})
    loop, ours = (net.get(name, {}).get("updates_per_s") for name in _OURS)
    with_codec = {
        part: found.get("codec", {}).get(part, {}).get("updates_per_s") for part in WORKLOADS
    }
    return {
        "updates_per_s": {
            f"{clients} clients, {cohort} a round": {
                name: row.get("updates_per_s") for name, row in found.get(part, {}).items()
            }
            for part, (clients, cohort) in WORKLOADS.items()
        },
        "updates_per_s_with_codec": with_codec["engines"],
        "updates_per_s_with_codec_large": with_codec["engines_large"],
        "cnn_times_faster_than_loop": ours / loop if ours and loop else None,
        "ten_thousand_s": large.get("seconds"),
        "ten_thousand_mb": large.get("peak_mb"),
        "first_round_s": found.get("start", {}).get("first_round_s"),
        "demo_rounds_s": found.get("demo", {}).get("rounds_s"),
        "versions_of_peers": {
            name: row.get("version") for name, row in found.get("engines", {}).items()
        },
    }


def main() -> None:
    """Measure the parts that were asked for."""
    parser = parser_of(__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), metavar="NAME")
    parser.add_argument(
        "--reuse", type=Path, nargs="+", default=[], metavar="FILE",
        help="keep an earlier run's figures (--json) of the parts that are not run again",
    )  # fmt: skip
    parser.add_argument(
        "--venvs", type=Path, default=default_folder(), metavar="FOLDER",
        help="where the peers' environments are kept (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--index", metavar="URL", help="index of PyTorch's CPU builds, beside pip's own"
    )
    options = parser.parse_args()
    found: dict[str, Any] = {}
    for file in options.reuse:
        found |= json.loads(file.read_text(encoding="utf-8"))["parts"]
    os.chdir(ROOT)
    for name in (part for part in PARTS if part in options.only):
        found[name] = with_earlier(name, found.get(name, {}), run_part(name, options))
        finish(options, {**summary_of(found), "parts": found})  # after each: others may take long


if __name__ == "__main__":
    sys.exit(main())
