"""The server's own rows, and what the trees so far say of them."""

from __future__ import annotations

import numpy as np

from frugalfl.energy.recorder import Recorder
from frugalfl.kinds import Scores, Scoring
from frugalfl.task import Examples, FloatArray
from frugalfl.trees.forest import Forest
from frugalfl_server.trees.grown import Grown


class ServerRows:
    """Rows that models are measured on.

    Attributes:
        scoring: What they are measured by.
        y: Their targets, 0 or 1.
    """

    def __init__(self, rows: Examples, scoring: Scoring, energy: Recorder) -> None:
        """Begin without a model, which is as one that never says 1.

        Args:
            rows: The rows.
            scoring: What models are measured by.
            energy: Takes the server's records of that.
        """
        self.scoring = scoring
        self.y = rows.y
        self._x = rows.x.reshape(len(rows), -1)
        self._energy = energy
        self._scores = np.full(len(rows), -1.0)

    @property
    def features(self) -> int:
        """Features of a row."""
        return int(self._x.shape[1])

    def follow_all(self, grown: Grown) -> None:
        """Score the rows by the trees so far, in their order: sums depend on it."""
        self._binned, self._scores = grown.bins.of(self._x), np.zeros(len(self._x))
        for step in grown.steps():
            self.follow(step)

    def follow(self, step: Forest) -> None:
        """Add the scores of new trees."""
        self._scores = self._scores + step.raw_scores(self._binned)

    def score(self, number: int) -> Scores:
        """Return the scores of the model in a round."""
        with self._energy.window("evaluate", round=number, samples=len(self._x)) as window:
            found = self.scoring.score(self.outputs(), self.y)
            window.correct = found.right
        return found

    def outputs(self) -> FloatArray:
        """Return two scores a row, as of a network of two classes."""
        return np.stack([np.zeros(len(self._scores)), self._scores], axis=1).astype(np.float32)
