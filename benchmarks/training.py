"""Training programs in LiteRT beside eager PyTorch: time, memory, disk, accuracy.

    python benchmarks/training.py [--quick] [--json FILE] [--federation]

Each net of the zoo is trained for one local epoch, whole and head only, by the trainers that
clients run: ours from the program that a server compiles, PyTorch's eager. One thread, batches of
16; milliseconds of thread CPU time, the best of some runs that take turns; the ratio is of these.
The difference is the largest of any entry of the update.

Memory: the peak resident set of a process that does one round of the digits task as a client does
(Flower's ClientApp, decoding, training, encoding), once with PyTorch and once where neither PyTorch
nor TensorFlow can be imported; data are made by a generator, so that no data library counts.
Installed size: every file of the packages that `pip install 'frugalfl[client,edge]'` and
`'frugalfl[client,torch]'` bring, in this environment.

--federation: the demo's digits federation (no pruning) with LiteRT clients only and with PyTorch
clients only, accuracies side by side. --quick: two nets, one seed, fewer rounds.
"""

from __future__ import annotations

import importlib.metadata
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import one_client
import torch
from common import finish, parser_of
from packaging.requirements import Requirement
from zoo import NETS, Net

from frugalfl.blocks import Layout
from frugalfl.modules import read_parameters
from frugalfl.program_file import digest_of, pack
from frugalfl.settings import Settings
from frugalfl_client.device import forget_devices
from frugalfl_client.training.litert import LiteRTTrainer
from frugalfl_client.training.pytorch import TorchTrainer
from frugalfl_client.training.trainer import Trainer
from frugalfl_server.cohort.training_programs import SIGNATURES
from frugalfl_server.compiler import Sgd, trace_training
from frugalfl_server.rounds.downlink import Downlink

APP = Path(__file__).parents[1] / "simulations" / "digits"
QUICK = ("mlp", "digits-cnn")
REPEATS, QUICK_REPEATS = 9, 3
SEEDS = (0, 1, 2)
#: Rows of a client are one in so many of the net's training rows.
CLIENTS = 8
SETTINGS = Settings.of(local_epochs=1, prune=0.0)
RATE, SEED = 0.05, (0, 1)
EXTRAS = {
    "frugalfl[client,edge]": {"client", "edge"},
    "frugalfl[client,torch]": {"client", "torch"},
}


def compare(net: Net, head_only: bool, repeats: int) -> dict[str, Any]:
    """Train one epoch with both trainers.

    Args:
        net: One of the zoo.
        head_only: Train the last block alone, instead of all.
        repeats: Turns of each trainer; the best one counts.
    """
    torch.manual_seed(0)
    module = net.task.new_model()
    parameters = read_parameters(module)
    layout = Layout.of(parameters)
    planned = layout.everything[-1:] if head_only else layout.everything
    rows = net.task.rows_of(0, CLIENTS)
    program = trace_training(
        module, loss=net.task.loss, optimizer=Sgd(momentum=SETTINGS.train.momentum),
        planned=layout.names(planned), batch=SETTINGS.train.batch_size,
        input_shape=rows.x.shape[1:], target_shape=rows.y.shape[1:], signatures=SIGNATURES,
    ).convert()  # fmt: skip
    trainers: dict[str, Trainer] = {
        "torch": TorchTrainer(net.task, SETTINGS), "litert": LiteRTTrainer(program, SETTINGS),
    }  # fmt: skip
    updates = {}
    best = dict.fromkeys(trainers, np.inf)
    for _ in range(repeats):
        for name, trainer in trainers.items():
            began = time.thread_time()
            updates[name] = trainer.train(parameters, planned, rows, RATE, SEED).update
            best[name] = min(best[name], time.thread_time() - began)
    difference = max(
        float(np.abs(step - updates["litert"][name]).max())
        for name, step in updates["torch"].items()
    )
    return {
        "parameters": sum(tensor.size for tensor in parameters.values()),
        "rows": len(rows),
        "program_bytes": len(pack(program)),
        "torch_ms": 1e3 * best["torch"],
        "litert_ms": 1e3 * best["litert"],
        "ratio": best["torch"] / best["litert"],
        "difference": difference,
    }


def peaks_of_clients() -> dict[str, float]:
    """Return the peak resident set (MB) of a client's process that trains for one round."""
    settings = Settings.of(prune=0.0)
    module = one_client.task.new_model()
    parameters = read_parameters(module)
    program = pack(
        trace_training(
            module, loss="cross_entropy", optimizer=Sgd(momentum=settings.train.momentum),
            planned=list(parameters), batch=settings.train.batch_size, input_shape=(1, 8, 8),
            signatures=SIGNATURES,
        ).convert()
    )  # fmt: skip
    peaks = {}
    for trainer in ("torch", "litert"):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "frames").write_bytes(Downlink(parameters, settings.wire.downlink, 1).full())
            (folder / "program").write_bytes(program)
            (folder / "digest").write_text(digest_of(program))
            command = [sys.executable, one_client.__file__, trainer, folder]
            result = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks[trainer] = float(json.loads(result.stdout.splitlines()[-1])["peak_mb"])
    return peaks


def installed_mb(extras: set[str]) -> float:
    """Return the size (MB) of FrugalFL's requirements with these extras, and of theirs in turn."""
    sizes: dict[str, float] = {}
    waiting = [("frugalfl", extra) for extra in ("", *sorted(extras))]
    seen = set()
    while waiting:
        name, extra = waiting.pop()
        name = re.sub(r"[-_.]+", "-", name).lower()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            package = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if name != "frugalfl":
            files = (Path(str(package.locate_file(file))) for file in package.files or ())
            sizes[name] = sum(file.stat().st_size for file in files if file.is_file())
        for text in package.requires or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                waiting += [(needed.name, one) for one in ("", *needed.extras)]
    return sum(sizes.values()) / 1e6


def federate(trainer: str, seed: int, rounds: int) -> dict[str, float]:
    """Run the digits federation in this process; return its accuracy and its bytes."""
    from frugalfl_sim.apps import read_settings
    from frugalfl_sim.simulate import simulate_app

    changes = (
        f"trainer={trainer}", f"seed={seed}", f"rounds={rounds}", "prune=0", "engine=sequential"
    )  # fmt: skip
    random.seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        run = simulate_app(APP, read_settings(APP, changes), Path(folder), baseline=False)
        summary = run.read_json("summary.json")
    forget_devices()
    return {name: summary[name] for name in ("accuracy", "downlink_bytes", "program_bytes")}


def main() -> None:
    """Measure, print and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--federation", action="store_true", help="also run the two federations")
    options = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, Any] = {"nets": {}, "client": {}}
    print(f"{'net':<22}{'parameters':>10}{'program':>9}{'PyTorch':>10}{'LiteRT':>9}"
          f"{'ratio':>7}{'difference':>12}")  # fmt: skip
    for name in QUICK if options.quick else NETS:
        for head_only in (False, True):
            found = compare(NETS[name], head_only, QUICK_REPEATS if options.quick else REPEATS)
            label = f"{name}, head only" if head_only else name
            figures["nets"][label] = found
            print(f"{label:<22}{found['parameters']:>10,}{found['program_bytes']:>7,} B"
                  f"{found['torch_ms']:>7.2f} ms{found['litert_ms']:>6.2f} ms"
                  f"{found['ratio']:>7.1f}{found['difference']:>12.1e}", flush=True)  # fmt: skip
    peaks = peaks_of_clients()
    sizes = {name: installed_mb(extras) for name, extras in EXTRAS.items()}
    figures["client"] = {"peak_mb": peaks, "installed_mb": sizes}
    print(f"peak of a client: PyTorch {peaks['torch']:.0f} MB, LiteRT {peaks['litert']:.0f} MB "
          f"({peaks['litert'] / peaks['torch']:.2f})")  # fmt: skip
    print("installed: " + ", ".join(f"{name} {size:.0f} MB" for name, size in sizes.items()))
    if options.federation:
        rounds = 15 if options.quick else 80
        figures["federation"] = [
            {"seed": seed} | {trainer: federate(trainer, seed, rounds) for trainer in peaks}
            for seed in (SEEDS[:1] if options.quick else SEEDS)
        ]
        for one in figures["federation"]:
            scores = [f"{trainer} {one[trainer]['accuracy']:.4f}" for trainer in peaks]
            print(f"seed {one['seed']}, accuracy after {rounds} rounds: {', '.join(scores)}")
    finish(options, figures)


if __name__ == "__main__":
    main()
