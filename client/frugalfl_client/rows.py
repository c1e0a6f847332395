"""A device's own rows: those that it trains on, and those that it measures on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from frugalfl.blocks import Parameters
from frugalfl.errors import FrameError, TaskError, UsageError
from frugalfl.form import Form
from frugalfl.kinds import Kind, kind_named
from frugalfl.settings import Settings
from frugalfl.sums import Table
from frugalfl.task import Examples, Task
from frugalfl_client.training.batches import SMALLEST_BATCH, check_batch_size, check_rows

if TYPE_CHECKING:
    from frugalfl_client.training.trainer import Trainer

#: With private blocks nobody else can measure a device's model, and without public rows nobody else
#: can measure any: a device keeps one row in so many for it.
_HOLD_OUT_ONE_IN = 5


class OwnRows:
    """The rows of one device.

    Attributes:
        examples: To train on; there once :meth:`load` has been called.
        held_out: Kept from training, to measure the device's own model on; ``None``: none.
        evaluated: To measure each model on that comes; ``None``: none.
        kind: What the server says that the task learns; ``None``: it does not say.
        smallest_batch: Rows of a batch at least, as the device's owner wants it.
    """

    examples: Examples

    def __init__(
        self, task: Task, number: int, of: int, settings: Settings,
        smallest_batch: int = SMALLEST_BATCH,
    ) -> None:  # fmt: skip
        """Begin without rows.

        Args:
            task: Makes them.
            number: Of the client.
            of: Clients in all.
            settings: Of the run, as the device keeps to them.
            smallest_batch: Rows of a batch at least.
        """
        self._task = task
        self._number = number
        self._of = of
        self._settings = settings
        self.smallest_batch = smallest_batch
        self.held_out: Examples | None = None
        self.evaluated: Examples | None = None
        self.kind: Kind | None = None
        self._checked: Examples | None = None
        self._form: Form | None = None

    def load(self, totals: dict[str, Table] | None = None) -> None:
        """Have the task make them, with the sums of all clients' counters if there are such.

        Raises:
            TaskError: The task has no rows for this device.
        """
        examples = self._task.rows_of(self._number, self._of, totals)
        self.examples = examples
        most = self._settings.rounds.evaluate_rows
        if self._settings.wire.private:
            self.examples, self.held_out = _hold_out(
                examples, self._settings.run.seed, self._number
            )
        elif self.measures_for_all and self._has_rows_to_hold_out(len(examples)):
            self.examples, held = _hold_out(examples, self._settings.run.seed, self._number)
            self.evaluated = Examples(held.x[: most or None], held.y[: most or None])
        elif most:
            self.evaluated = Examples(examples.x[:most], examples.y[:most])

    def _has_rows_to_hold_out(self, rows: int) -> bool:
        """Say whether sums over what is held out are sums of enough rows, as those of batches."""
        return rows > 1 and max(1, rows // _HOLD_OUT_ONE_IN) >= self.smallest_batch

    @property
    def measures_for_all(self) -> bool:
        """Whether only clients can measure the model that all share: the server has no rows."""
        return not self._task.has_public_rows and not self._settings.wire.private

    def fit(self, form: Form | None) -> None:
        """Bring its rows into the form that the server says, if it does.

        Raises:
            FrameError: The server says a kind of task that is not known here.
            TaskError: The rows have another form.
        """
        if form is None or form == self._form:
            return
        try:
            self.kind = kind_named(form.kind)
        except UsageError as error:
            raise FrameError(f"the server's task is of no known kind: {error}") from error
        self.examples = form.fit(self.examples, self._name)
        few = replace(form, fewest=1)  # rows to measure on are in no batch
        if self.held_out is not None:
            self.held_out = few.fit(self.held_out, self._name)
        if self.evaluated is not None:
            self.evaluated = few.fit(self.evaluated, self._name)
        self._form = form

    @property
    def fewest(self) -> int:
        """Rows of a batch: what its owner asks for, and what the model needs."""
        return max(self.smallest_batch, 1 if self._form is None else self._form.fewest)

    def check_model(self, trainer: Trainer, parameters: Parameters) -> None:
        """See once that a model takes this device's rows, so that a mistake is named as one.

        Raises:
            TaskError: It does not.
        """
        if self._checked is not self.examples:
            trainer.check_rows(parameters, self.examples, self._name, self.kind)
            self._checked = self.examples

    def check_batches(self) -> None:
        """Refuse to work on fewer rows at a time than this device's smallest batch.

        Raises:
            NotAllowedError: The settings' batches are smaller, or it has too few rows itself.
        """
        check_batch_size(self._settings.train.batch_size, self.smallest_batch)
        check_rows(len(self.examples), self.smallest_batch)

    @property
    def _name(self) -> str:
        return f"client {self._number} of {self._of}"


def _hold_out(examples: Examples, seed: int, number: int) -> tuple[Examples, Examples]:
    """Return rows to train on and rows to measure on; the same ones in every round of a run."""
    if len(examples) < 2:
        raise TaskError(
            f"client {number} has one row; with private blocks it needs two, to measure on one"
        )
    order = np.random.default_rng((seed, number)).permutation(len(examples))
    count = max(1, len(examples) // _HOLD_OUT_ONE_IN)
    kept, held = np.sort(order[count:]), np.sort(order[:count])
    return Examples(examples.x[kept], examples.y[kept]), Examples(
        examples.x[held], examples.y[held]
    )
