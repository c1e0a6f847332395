"""What a user writes: one file with a model, the data of one client, and a loss.

    from frugalfl import Examples, Task

    def client_data(client, clients): ...   # this device's own rows
    def public_data(): ...                  # what the server may see
    def model(): ...                        # a torch.nn.Module; import torch in here

    task = Task("mine", model=model, client_data=client_data, public_data=public_data)

PyTorch is imported inside ``model`` (and inside a custom loss), never at the top of the file, so
that a device without PyTorch can still load the data part.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from frugalfl.about_entry import about_as_text
from frugalfl.errors import FrugalFLError, TaskError, UsageError
from frugalfl.examples import Examples, FloatArray, TargetArray, check_examples
from frugalfl.metrics import Metric
from frugalfl.modules_taken import untakeable
from frugalfl.sums import Tables

if TYPE_CHECKING:
    import torch

    from frugalfl.settings import Settings

Loss = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]

__all__ = [
    "LOSSES", "Examples", "FloatArray", "Loss", "PublicData", "TargetArray", "Task", "load_task",
]  # fmt: skip

#: Losses that a task may name instead of writing one.
LOSSES = ("cross_entropy",)


@dataclass(frozen=True)
class PublicData:
    """What the server may see.

    Attributes:
        test: Rows to measure on.
        calibration: Other rows, to calibrate int8 with. None: the clients' rows are used, on the
            clients; the server sees ranges of activations only.
    """

    test: Examples
    calibration: Examples | None = None


@dataclass(frozen=True)
class Task:
    """One learning problem.

    Attributes:
        name: Short name, used in run directories and file names.
        model: Returns a new, freshly initialised ``torch.nn.Module``.
        client_data: ``(client, clients)`` to that client's training rows, ``client`` from 0; with
            ``counters`` there is a third argument, ``totals``.
        public_data: The server's held-back rows; with ``counters`` it has an argument, ``shared``:
            whether they are to be made with the sums over all clients. None: the server has no
            rows; clients hold some of theirs out, and measure.
        loss: A name from :data:`LOSSES`, or ``(outputs, targets) -> scalar tensor``.
        counters: ``(client, clients)`` to the tables that this client would share; their sums over
            all clients, at its own keys, come back as ``totals`` of ``client_data`` where the
            setting ``counters`` is ``shared`` (``None`` if it is ``own``).
        metrics: What the server measures beside accuracy, by name: ``(outputs, targets) ->
            number`` on numpy arrays, such as those of :mod:`frugalfl.metrics`. The first one is
            what an export is held against and what reports draw: a share, larger for better, or
            what a :class:`~frugalfl.metrics.Measure` says.
        kind: What it learns: ``classification``, ``binary``, ``multi-label``, ``regression``,
            ``reconstruction`` or ``segmentation``; empty: found out from rows and loss
            (:func:`frugalfl.kinds.kind_of`), or asked for.
        about: What whoever runs the model must know and the model does not compute: names of
            classes, units, window, scaling. JSON values; they go into ``model_card.json`` and into
            the .tflite files with a signature, from which :func:`frugalfl_edge.read_about` has
            them.
        strategy: ``(settings)`` to a strategy of one's own, of ``flwr.serverapp``, in place of the
            setting ``strategy``. It is shown exactly the clients of each round. With an attribute
            ``only_mean = True`` it gets one reply with the weighted mean of all.
    """

    name: str
    model: Callable[[], torch.nn.Module]
    client_data: Callable[..., Examples]
    public_data: Callable[..., PublicData] | None = None
    loss: str | Loss = "cross_entropy"
    counters: Callable[[int, int], Tables] | None = None
    metrics: Mapping[str, Metric] = field(default_factory=dict, hash=False)
    kind: str = ""
    about: Mapping[str, Any] = field(default_factory=dict, hash=False)
    strategy: Callable[[Settings], Any] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.loss, str) and self.loss not in LOSSES:
            raise UsageError(
                f"unknown loss {self.loss!r}; use one of {', '.join(LOSSES)} or a function"
            )
        for name in self.metrics:
            if not name.isidentifier() or name == "accuracy":
                raise UsageError(
                    f"metric {name!r} needs another name: letters, digits and _, and not accuracy, "
                    "which is measured anyway"
                )
        about_as_text(self.about)

    @property
    def has_public_rows(self) -> bool:
        """Whether the server has rows of its own to measure on."""
        return self.public_data is not None

    @property
    def whose_rows(self) -> str:
        """What the rows that a server measures or stands in with are called in messages."""
        return "public_data().test" if self.has_public_rows else "the clients' rows"

    def new_model(self) -> torch.nn.Module:
        """Build the model.

        Raises:
            TaskError: ``model`` raised, or what it returned cannot be copied or cut.
        """
        with self.blamed("model()"):
            module = self.model()
        if why := untakeable(module):
            raise TaskError(f"task {self.name!r}: the model {why}")
        return module

    def rows_of(self, client: int, clients: int, totals: Tables | None = None) -> Examples:
        """Load and check one client's rows.

        Args:
            client: Number of the client, from 0.
            clients: How many there are.
            totals: Sums of the counters over all clients; ``None``: each has only its own.

        Raises:
            TaskError: ``client_data`` raised, or its rows cannot be trained on.
        """
        with self.blamed(f"client_data({client}, {clients})"):
            arguments = (client, clients) if self.counters is None else (client, clients, totals)
            return check_examples(self.client_data(*arguments), f"client {client} of {clients}")

    def counters_of(self, client: int, clients: int) -> Tables:
        """Count what one client would share.

        Raises:
            TaskError: The task has no counters, or they raised.
        """
        if self.counters is None:
            raise TaskError(
                f'task {self.name!r} has no counters to share; set counters = "own", or give the '
                "Task its counters"
            )
        with self.blamed(f"counters({client}, {clients})"):
            return self.counters(client, clients)

    def public_rows(self, shared: bool = False) -> PublicData:
        """Load and check the server's rows.

        Args:
            shared: Whether counters are summed over all clients.

        Raises:
            TaskError: ``public_data`` raised, or its rows cannot be used.
        """
        if self.public_data is None:
            raise TaskError(
                f"task {self.name!r} has no public_data(), and this needs rows of the server's "
                "own; give it some: PublicData(test=Examples(x, y))"
            )
        with self.blamed("public_data()"):
            public = self.public_data() if self.counters is None else self.public_data(shared)
            if not isinstance(public, PublicData):
                raise TaskError(
                    f"public_data() returned a {type(public).__name__}; return "
                    "PublicData(test=Examples(x, y)), or leave public_data out of the Task if "
                    "the server may see no rows"
                )
            test = check_examples(public.test, "public_data().test")
            calibration = public.calibration
            if calibration is not None:
                calibration = check_examples(calibration, "public_data().calibration")
                if calibration.x.shape[1:] != test.x.shape[1:]:
                    raise TaskError(
                        f"public_data().calibration: inputs have shape {calibration.x.shape[1:]} a "
                        f"row, those of test {test.x.shape[1:]}"
                    )
            return PublicData(test, calibration)

    @contextmanager
    def blamed(self, what: str) -> Iterator[None]:
        """Turn whatever the user's code raises into one line that names the task and the part.

        Raises:
            TaskError: The ``with`` block raised; the cause is kept for ``--debug``.
        """
        try:
            yield
        except FrugalFLError:
            raise
        except Exception as error:
            raise TaskError(
                f"task {self.name!r}: {what} raised {type(error).__name__}: {error}"
            ) from error


def load_task(reference: str) -> Task:
    """Import a task from a ``module:attribute`` reference.

    Raises:
        UsageError: The reference is malformed, or names nothing that is a :class:`Task`.
        TaskError: The module raised while it was imported.
    """
    module_name, _, attribute = reference.partition(":")
    if not module_name or not attribute:
        raise UsageError(f"task reference {reference!r} is not of the form module:attribute")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name == module_name:
            raise UsageError(
                f"no module {module_name!r} for task {reference!r}; is task.py there?"
            ) from error
        raise TaskError(
            f"{module_name} needs the module {error.name!r}, which is not installed"
        ) from error
    except Exception as error:
        raise TaskError(
            f"{module_name} raised {type(error).__name__} on import: {error}"
        ) from error
    task = getattr(module, attribute, None)
    if not isinstance(task, Task):
        raise UsageError(
            f"{module_name!r} has no Task called {attribute!r}; write {attribute} = Task(...)"
        )
    return task
