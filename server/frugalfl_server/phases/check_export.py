"""Whether the run's model can be exported, found before its first round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from frugalfl.errors import ExportError, MissingExtraError, UsageError
from frugalfl.settings import Settings
from frugalfl.task import Examples, Task
from frugalfl_server.export import gates
from frugalfl_server.export.device_budget import DeviceBudget
from frugalfl_server.export.lint import blame_code, lint
from frugalfl_server.export.plain import is_plain, unusual
from frugalfl_server.export.rehearsal import rehearse
from frugalfl_server.phases.initial_model import initial_model
from frugalfl_server.phases.prune import plan_for, prune_as_planned
from frugalfl_server.phases.public_rows import is_federated

if TYPE_CHECKING:
    import torch

#: So many rows go through an export that is only tried.
ROWS = 8
#: So many places are named if nobody knows which it is.
MOST_PLACES = 4
#: What an export cannot do without; each comes with the extra ``server``.
_PACKAGES = ("litert_torch", "ai_edge_quantizer", "ai_edge_litert")
GO_ON = "or set export=false to go on without a model file"


def check_export(task: Task, settings: Settings, rows: Examples) -> Iterator[str]:
    """Try the export that the run will end with, on its untrained model; yield a line about noise.

    Raises:
        ExportError: It would fail, whatever the weights become; the message says where in the
            model, what to write instead, and how to go on without a model file.
        MissingExtraError: What exports is not installed.
    """
    if not settings.export.enabled or settings.wire.private:
        return
    if not all(map(find_spec, _PACKAGES)):
        raise MissingExtraError("Export (or export=false)", "server")
    try:
        yield from _try(task, settings, rows)
    except ExportError as error:
        raise ExportError(f"this model cannot be exported: {error}; {GO_ON}") from error


def _try(task: Task, settings: Settings, rows: Examples) -> Iterator[str]:
    shape = rows.x.shape[1:]
    if is_plain(initial_model(task, settings), shape):
        return  # and so are those that pruning makes of it
    module = _exported(task, settings, rows)
    federated = not task.has_public_rows or is_federated(
        settings, task.public_rows(settings.train.shares_counters)
    )
    with blame_code(lint(module, shape)), _placed(module, shape):
        noise_db = rehearse(
            module,
            rows.x[:ROWS],
            federated=federated,
            activations=settings.export.activations,
            target=DeviceBudget.of_settings(settings).target,
        )
    if noise_db < gates.MIN_SQNR_DB:
        places = unusual(module, shape)
        yield (
            f"int8: the untrained model's outputs have a signal-to-noise ratio of {noise_db:.1f} "
            f"dB; {gates.MIN_SQNR_DB:.0f} dB are needed in the end"
            f"{f'; what is out of the ordinary in it: {_some(places)}' if places else ''}"
        )


@contextmanager
def _placed(module: torch.nn.Module, input_shape: tuple[int, ...]) -> Iterator[None]:
    """Name what a converter that does not say where it failed may have failed at.

    Raises:
        ExportError: The block raised one, or an interpreter refuses the file; with the places
            that are out of the ordinary, unless one of them is named already.
    """
    try:
        yield
    except MissingExtraError:
        raise
    except (ExportError, UsageError) as error:
        places = unusual(module, input_shape)
        if not places or any(one.partition(",")[0] in str(error) for one in places):
            raise ExportError(str(error)) from error
        raise ExportError(f"{error}; what is out of the ordinary in it: {_some(places)}") from error


def _some(places: Sequence[str]) -> str:
    return "; ".join(places[:MOST_PLACES])


def _exported(task: Task, settings: Settings, rows: Examples) -> torch.nn.Module:
    """Return the model as it will be pruned; how far a budget needs it to be is not known yet."""
    module = initial_model(task, settings)
    if settings.export.has_budget or not settings.export.prune:
        return module
    plan = plan_for(task, settings, rows, settings.export.prune)
    return prune_as_planned(plan, task, module, rows)[0] if plan.narrowed else module
