"""What every script of a peer reads and prints; it needs numpy alone.

    python SCRIPT.py DATA.npz [--rounds N] [--seconds S] [ways of its own]

The file holds the workload (benchmarks/simulating/workload.py). A script runs ``rounds`` rounds,
then goes on, if it can, until ``seconds`` have passed, and prints one line of JSON. The first five
rounds are warm-up and do not count, for all scripts alike: compiling and late imports are in them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

WARM_UP = 5
BATCH, LEARNING_RATE = 16, 0.1
_APP = Path(__file__).parent / "flower_app"
#: When the script began (s); processes that it starts are told by the environment.
_BEGAN = float(os.environ.get("DIGITS_BEGAN", time.time()))


class Workload:
    """Rows of every client, the first model, and who is asked in each round.

    Attributes:
        x: All images, float32, shape ``(rows, 64)``.
        y: Their classes, int64.
        clients: Number of clients.
        cohort: Clients a round.
        first: The first model, by PyTorch's names: ``0.weight`` (32, 64), ``0.bias``,
            ``2.weight`` (10, 32), ``2.bias``.
    """

    def __init__(self, file: Path) -> None:
        with np.load(file) as held:
            self.x, self.y = held["x"], held["y"]
            self._rows, self._ends = held["rows"], held["ends"]
            self._picked = held["picked"]
            self.first = {name: held[name] for name in held.files if "." in name}
        self.clients = len(self._ends)
        self.cohort = self._picked.shape[1]

    def rows_of(self, client: int) -> np.ndarray:
        """Return the numbers of a client's rows."""
        start = self._ends[client - 1] if client else 0
        return self._rows[start : self._ends[client]]

    def data_of(self, client: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a client's images and classes."""
        rows = self.rows_of(client)
        return self.x[rows], self.y[rows]

    def picked(self, number: int) -> list[int]:
        """Return who is asked in a round; after the last one it begins anew."""
        return self._picked[number % len(self._picked)].tolist()

    def accuracy(self, model: Mapping[str, np.ndarray]) -> float:
        """Return the share of all images that a model names right."""
        w1, b1, w2, b2 = (
            np.asarray(model[n]) for n in ("0.weight", "0.bias", "2.weight", "2.bias")
        )
        hidden = np.maximum(self.x @ w1.T + b1, 0)
        return float(np.mean((hidden @ w2.T + b2).argmax(1) == self.y))


def parser() -> argparse.ArgumentParser:
    """Return the parser of what every script takes."""
    made = argparse.ArgumentParser()
    made.add_argument("data", type=Path)
    made.add_argument("--rounds", type=int, default=60)
    made.add_argument("--seconds", type=float, default=2.0)
    return made


class Rounds:
    """How long each round took, and how good the model was after the last that was asked for."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._took: list[float] = []
        self._accuracy: float | None = None
        self._first: float | None = None
        self._last = time.perf_counter()

    def ended(self) -> None:
        """Say that a round ended, and the next begins."""
        now = time.perf_counter()
        self._took.append(now - self._last)
        self._first = self._first or time.time() - _BEGAN
        self._last = now

    def run(
        self,
        options: argparse.Namespace,
        one_round: Callable[[list[int]], None],
        accuracy: Callable[[], float],
    ) -> None:
        """Run the rounds of a script that can be called round by round."""
        while len(self._took) < options.rounds or sum(self._took[WARM_UP:]) < options.seconds:
            picked = self._workload.picked(len(self._took))
            self._last = time.perf_counter()
            one_round(picked)
            self.ended()
            if len(self._took) == options.rounds:
                self._accuracy = accuracy()

    def figures(self, version: str, accuracy: float | None = None) -> dict[str, Any]:
        """Return what is printed; ``accuracy`` is the last model's, if :meth:`run` saw none."""
        counted = self._took[WARM_UP:]
        middle = statistics.median(counted)
        return {
            "updates_per_s": self._workload.cohort / middle,
            "accuracy": self._accuracy if accuracy is None else accuracy,
            "version": version,
            "seconds": time.time() - _BEGAN,
            "round_ms": 1e3 * middle,
            "fastest_round_ms": 1e3 * min(counted),
            "counted_rounds": len(counted),
            "first_round_s": self._first,
        }

    def report(self, version: str, accuracy: float | None = None) -> None:
        """Print the line."""
        show(json.dumps(self.figures(version, accuracy)))


def tell(options: argparse.Namespace, answer: Path) -> None:
    """Put into the environment what the processes of a Flower app need."""
    os.environ |= {
        "DIGITS_DATA": str(options.data.resolve()),
        "DIGITS_ROUNDS": str(options.rounds),
        "DIGITS_ANSWER": str(answer),
        "DIGITS_BEGAN": str(_BEGAN),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(_APP)]),
    }


def show_file(answer: Path) -> None:
    """Print the line that an app left."""
    show(answer.read_text(encoding="utf-8"))


def show(line: str) -> None:
    """Print one line of JSON, the last that a script prints."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
