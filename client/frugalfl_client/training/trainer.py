"""What every trainer does: parameters and a device's own rows in, an update out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from frugalfl.blocks import FloatArray, Layout, Parameters
from frugalfl.codec import Limits
from frugalfl.errors import DivergedError
from frugalfl.kinds import Kind
from frugalfl.subspace import Subspace
from frugalfl.task import Examples


@dataclass(frozen=True)
class Trained:
    """Result of a local training.

    Attributes:
        update: Local minus global tensors, of the planned blocks only.
        loss: Mean loss over the last epoch.
        private: The private tensors, as training left them.
    """

    update: Parameters
    loss: float
    private: Parameters = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """What a model does on some rows.

    Attributes:
        right: Rows that it gets right; ``None``: nothing is right or wrong in this task, or a
            training program cannot tell.
        tally: The sums that the task's measures are computed from (:mod:`frugalfl.kinds`); empty
            if ``right`` says it all, or they are not known.
    """

    right: int | None
    tally: tuple[float, ...] = ()

    def share_of(self, rows: int) -> float | None:
        """Return the share of so many rows that are right; ``None``: not known."""
        return self.right / rows if rows and self.right is not None else None


class Trainer(Protocol):
    """Trains one task's model; both kinds give the same update for the same rows and seed."""

    @property
    def software(self) -> str:
        """The package that does the work, for its version in energy records."""

    @property
    def layout(self) -> Layout:
        """Blocks of the model that travel."""

    @property
    def limits(self) -> Limits:
        """Bounds of the frames that bring this model up to date."""

    def check_rows(
        self, parameters: Parameters, examples: Examples, whose: str, kind: Kind | None = None
    ) -> None:
        """See that a device's rows are what the model takes, before anything is trained.

        Args:
            parameters: The whole model, private blocks included.
            examples: The rows.
            whose: They are, for the message.
            kind: Of the task, as the server says; ``None``: found out from these rows.

        Raises:
            TaskError: They are not: what is wrong, with which array.
        """

    def train(
        self,
        parameters: Parameters,
        planned: tuple[int, ...],
        examples: Examples,
        learning_rate: float,
        seed: tuple[int, ...],
        private: Parameters | None = None,
        proximal_mu: float = 0.0,
        epochs: int = 0,
        smallest_batch: int = 1,
        subspace: Subspace | None = None,
    ) -> Trained:
        """Run the local epochs.

        Args:
            parameters: The global model, without private blocks.
            planned: Numbers of the blocks to train; the others get no gradients.
            examples: This device's own rows.
            learning_rate: Step size.
            seed: Decides the order of the rows and any dropout; same seed, same bits.
            private: This device's private blocks, always trained; empty: as they begin.
            proximal_mu: Weight of FedProx's proximal term.
            epochs: Passes over the rows; 0: as the settings say.
            smallest_batch: Rows that every mini-batch has at least, the last one too.
            subspace: Moves the planned tensors within it only; ``None``: freely.

        Raises:
            TaskError: The rows cannot be trained on, the task's code raised, or the loss is not
                finite.
            ProgramError: The training program is for another model, plan or subspace.
        """

    def calibrate(
        self, parameters: Parameters, examples: Examples, percentile: float = 100.0
    ) -> FloatArray:
        """Return the range of every tensor that the model makes of this device's rows.

        Args:
            parameters: The whole model.
            examples: This device's own rows.
            percentile: As in :func:`~frugalfl.activation_ranges.ranges_of`.

        Returns:
            Shape ``(tensors, 2)``, float32: minimum and maximum, in the order of execution.

        Raises:
            TaskError: The rows do not fit the model, or the task's code raised.
            ProgramError: The training program is for another model.
        """

    def measure(
        self, parameters: Parameters, examples: Examples, kind: Kind | None = None
    ) -> Measured:
        """Measure a whole model, private blocks included, on some rows.

        Args:
            parameters: The model.
            examples: The rows.
            kind: As of :meth:`check_rows`.

        Raises:
            TaskError: The task's model raised, or outputs and targets do not go together.
            ProgramError: The rows or the model do not fit the training program.
        """


def mean_loss(losses: Sequence[float]) -> float:
    """Return the mean of an epoch's mini-batches.

    Raises:
        DivergedError: It is not finite.
    """
    mean = float(np.mean(losses))
    if not np.isfinite(mean):
        raise DivergedError(f"the training loss is {mean}; lower learning-rate, or check the data")
    return mean
