"""Models that are not federated, of one branch or of all rows in one place, and what they took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from frugalfl import Examples
from frugalfl.energy import choose_meter, countable_readings
from frugalfl.energy.profiles import profile_named
from frugalfl.energy.record import known_sum
from frugalfl.trees import Bins, Forest, Growth, agree, encode_forest, sketch
from frugalfl_client.trees import train
from frugalfl_client.trees.lightgbm import load_lightgbm
from frugalfl_sim.comparison.estimates import Joules

if TYPE_CHECKING:
    from frugalfl.settings import Settings
    from frugalfl.task import Task

Logits = npt.NDArray[np.float64]
_T = TypeVar("_T")
_BINS = 64


@dataclass(frozen=True)
class Trained:
    """A model, and what it took.

    Attributes:
        scores: Gives the log odds of rows of features.
        training: Energy of the training.
        model_bytes: Size of the model (B).
        seconds: Wall time of the training (s).
    """

    scores: Callable[[npt.NDArray[np.float32]], Logits]
    training: Joules
    model_bytes: int
    seconds: float


@dataclass(frozen=True)
class Spent:
    """What a piece of work took, once it is done."""

    joules: Joules
    seconds: float


def measure(work: Callable[[], _T]) -> tuple[_T, Spent]:
    """Do some work; return its result, and what it took."""
    meter, began = choose_meter(profile_named("generic")), time.monotonic()
    with meter.window("train") as window:
        result = work()
    readings = countable_readings(window.readings)
    measured, estimated = (
        known_sum(reading.energy_j for reading in readings if reading.measured is kind)
        for kind in (True, False)
    )
    return result, Spent(Joules(measured, estimated), time.monotonic() - began)


def train_trees(parts: Sequence[Examples], growth: Growth, trees: int, seed: int) -> Trained:
    """Train LightGBM on rows in one place; rows of one class give a constant.

    Args:
        parts: Rows by branch: their bins are those that these branches would agree on.
        growth: How each tree grows.
        trees: How many.
        seed: Of the training.
    """
    examples = concatenate(parts)

    def work() -> tuple[Bins, Forest]:
        bins = agree([sketch(part.x) for part in parts], _BINS)
        positives = int(examples.y.sum())
        # Half a row more of each class: a constant that is finite for rows of one class, too.
        base = float(np.log((positives + 0.5) / (len(examples) - positives + 0.5)))
        start = np.full(len(examples), base)
        forest = train(bins.of(examples.x), examples.y, start, growth, trees, seed)
        return bins, Forest(base) + forest

    load_lightgbm()
    (bins, forest), cost = measure(work)
    size = len(bins.to_bytes()) + len(encode_forest(forest))
    return Trained(lambda x: forest.raw_scores(bins.of(x)), cost.joules, size, cost.seconds)


def concatenate(parts: Sequence[Examples]) -> Examples:
    """Put rows in one place."""
    return Examples(
        np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts])
    )


def train_network(task: Task, settings: Settings, rows: Sequence[Examples]) -> Trained:
    """Train the task's network on all rows in one place, as often as branches would."""
    import torch

    from frugalfl.blocks import Parameters
    from frugalfl.modules import read_parameters
    from frugalfl_client.training.pytorch import TorchTrainer
    from frugalfl_server.phases.initial_model import initial_model

    # Small tensors: threads would wait for each other, and for those of the other processes.
    torch.set_num_threads(1)
    everything = concatenate(rows)
    trainer = TorchTrainer(task, settings)
    initial = read_parameters(initial_model(task, settings))

    def work() -> Parameters:
        parameters = initial
        for number in range(1, settings.rounds + 1):
            rate = settings.learning_rate_at(number)
            trained = trainer.train(
                parameters, trainer.layout.everything, everything, rate, (settings.seed, number)
            )
            parameters = {name: parameters[name] + step for name, step in trained.update.items()}
        return parameters

    parameters, cost = measure(work)
    size = sum(tensor.nbytes for tensor in parameters.values())
    return Trained(lambda x: network_scores(task, parameters, x), cost.joules, size, cost.seconds)


def network_scores(
    task: Task, parameters: dict[str, npt.NDArray[np.float32]], x: npt.NDArray[np.float32]
) -> Logits:
    """Return the log odds that a network gives to rows."""
    import torch

    from frugalfl.modules import write_parameters

    module = task.new_model()
    write_parameters(module, parameters)
    module.eval()
    with torch.inference_mode():
        return margin(module(torch.from_numpy(x)).numpy())


def margin(outputs: npt.NDArray[np.float32]) -> Logits:
    """Return the log odds of class 1 from two outputs."""
    wide = outputs.astype(np.float64)
    difference: Logits = wide[:, 1] - wide[:, 0]
    return difference
