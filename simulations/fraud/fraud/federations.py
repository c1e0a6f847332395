"""The pilot's federations: real runs of the Flower app beside this package, and their results."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from frugalfl.trees import Bins, Forest, Growth, decode_forest
from frugalfl.trees.parcel import Parcel
from frugalfl_sim.comparison.estimates import Joules
from frugalfl_sim.comparison.rows import Bytes
from frugalfl_sim.comparison.trained import Logits, Trained, margin, network_scores

if TYPE_CHECKING:
    from frugalfl.settings import Settings
    from frugalfl.task import Task
    from frugalfl_server.run.records import RoundRecord

APP = Path(__file__).resolve().parents[1]
#: What $FRUGALFL_FRAUD says, `task.py` reads.
VARIABLE = "FRUGALFL_FRAUD"
#: Trees of every model that is not federated, and of the federated histogram.
TREES = 30
GROWTH = Growth(learning_rate=0.25, leaves=12)
_GROWTH = f"rate {GROWTH.learning_rate:g}, leaves {GROWTH.leaves}"
#: Settings of each federation, over those of the app.
WAYS: dict[str, Sequence[str]] = {
    "bagging": ("trees=bagging(20, rate 0.2, leaves 15)", "rounds=5"),
    "refit": ("trees=refit(20, rate 0.2, leaves 15)", "rounds=5"),
    "cyclic": (f"trees=cyclic(20, {_GROWTH})", "rounds=16"),
    "histogram": (f"trees=histogram({TREES}, {_GROWTH})",),
    "mlp": (),
}


@dataclass(frozen=True)
class Federated:
    """A federation that was run.

    Attributes:
        models: By method: the model, with the energy of all branches together.
        uplink: Branches to server.
        downlink: Server to branches.
        rounds: Of training; of histogram trees, how often branches were asked.
    """

    models: dict[str, Trained]
    uplink: Bytes
    downlink: Bytes
    rounds: int


def task_and_settings(way: str, pilot: Path, shared: bool, seed: int) -> tuple[Task, Settings]:
    """Return what a federation of a way is of.

    Raises:
        FrugalFLError: The app cannot be loaded.
    """
    from frugalfl.task import load_task
    from frugalfl_server.run.app_directory import importable, read_settings

    os.environ[VARIABLE] = str(pilot)
    counters = "shared" if shared else "own"
    settings = read_settings(APP, [*WAYS[way], f"seed={seed}", f"counters={counters}"])
    with importable(APP):
        return load_task(settings.run.task), settings


def federate(
    way: str, settings: Path, shared: bool, seed: int, branches: int, runs: Path
) -> Federated:
    """Run one federation in this process.

    Args:
        way: A key of :data:`WAYS`.
        settings: The ``pilot.toml`` of the branches.
        shared: Whether terminal counters are shared.
        seed: Of the training.
        branches: How many there are.
        runs: Folder for the run directory.

    Raises:
        FrugalFLError: The federation cannot go on, or the data cannot be used.
    """
    from frugalfl_sim.simulate import simulate_app

    task, own = task_and_settings(way, settings, shared, seed)
    own = own.changed(clients=branches, clients_per_round=branches)
    run = simulate_app(APP, own, runs, baseline=False)
    summary = run.read_json("summary.json")
    cost = Joules(**summary["energy_j"])
    models = (
        _networks(run.path, task, run.load_checkpoint(), cost, summary["wall_s"])
        if way == "mlp"
        else {way: _trees(run.path, cost, summary["wall_s"])}
    )
    up, down = (_bytes(run.rounds, name) for name in ("uplink_bytes", "downlink_bytes"))
    rounds = summary["rounds"]
    if way == "histogram":
        rounds = run.read_json("model/trees.json")["exchanges"]
    return Federated(models, up, down, rounds)


#: Phases of a run, in the order of the fields of :class:`~frugalfl_sim.comparison.rows.Bytes`.
_KINDS = (("train", "recover", "calibrate"), ("bins",), ("counters",))


def _bytes(rounds: Iterable[RoundRecord], name: str) -> Bytes:
    """Add up a column of a run's rounds, by what was sent."""
    of_phase: Counter[str] = Counter()
    for record in rounds:
        of_phase[record.phase] += getattr(record, name)
    return Bytes(*(sum(of_phase[phase] for phase in phases) for phases in _KINDS))


def _trees(run: Path, cost: Joules, seconds: float) -> Trained:
    data = (run / "model" / "trees.bin").read_bytes()
    parcel = Parcel.unpack(data)
    bins = Bins.from_bytes(parcel.bins)
    parts = (decode_forest(segment, len(bins)) for segment in parcel.segments)
    forest = sum(parts, Forest())
    return Trained(lambda x: forest.raw_scores(bins.of(x)), cost, len(data), seconds)


def _networks(
    run: Path, task: Task, parameters: dict[str, npt.NDArray[np.float32]], cost: Joules,
    seconds: float,
) -> dict[str, Trained]:  # fmt: skip
    """Return the network of a run as float32, and as the int8 file that was exported."""
    from frugalfl_edge.predict import predict

    file = run / "model" / "model_int8_edge.tflite"
    size = sum(tensor.nbytes for tensor in parameters.values())

    def in_int8(x: npt.NDArray[np.float32]) -> Logits:
        return margin(predict(file, x))

    return {
        "mlp": Trained(lambda x: network_scores(task, parameters, x), cost, size, seconds),
        "mlp_int8": Trained(in_int8, cost, (run / "model" / "model_int8.tflite").stat().st_size,
                            seconds),
    }  # fmt: skip
