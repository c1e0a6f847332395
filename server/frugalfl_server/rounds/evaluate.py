"""Scores of the global model on the server's own rows."""

from __future__ import annotations

import copy
from typing import Any

import torch

from frugalfl.errors import TaskError
from frugalfl.form import Form
from frugalfl.kinds import CLASSIFICATION, Scores, Scoring, kind_of, scoring_of
from frugalfl.settings import Settings
from frugalfl.task import Examples, Task
from frugalfl_server.run.outcomes import FLOAT, count_outcomes

#: Rows that tell what kind of task it is.
_TRIED = 16


def scoring_for(task: Task, module: torch.nn.Module, examples: Examples, whose: str) -> Scoring:
    """Find out what models of a task are measured by, and that these rows can be.

    Args:
        task: The task.
        module: A model of it.
        examples: The rows to measure on.
        whose: They are, for the message.

    Raises:
        TaskError: Outputs and targets do not go together, or the task must say what it is.
    """
    with task.blamed(f"model() on {whose}"):
        outputs = _outputs(module, examples.x[:_TRIED])
    return scoring_of(task, kind_of(task, outputs, examples, whose))


def form_of(module: torch.nn.Module, examples: Examples, scoring: Scoring) -> Form:
    """Return what every client's rows have to look like.

    Args:
        module: The task's model.
        examples: Rows that are right.
        scoring: Of the task.
    """
    fewest = _fewest_rows(module, torch.from_numpy(examples.x[:1]))
    return Form(scoring.kind.name, examples.x.shape[1:], examples.y.shape[1:], fewest)


def check_batches(settings: Settings, form: Form) -> None:
    """Refuse batches that the model cannot be trained on.

    Raises:
        TaskError: They are.
    """
    if settings.train.batch_size < form.fewest:
        raise TaskError(
            f"batch-size is {settings.train.batch_size}, and batch norm in this task's model needs "
            f"{form.fewest} rows at least; raise batch-size"
        )


def _fewest_rows(module: torch.nn.Module, row: torch.Tensor) -> int:
    """Return how many rows a batch needs: a batch norm of plain features takes no single row."""
    trial = copy.deepcopy(module).train()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            trial(row)
    except ValueError as error:
        if "more than 1 value per channel" in str(error):
            return 2
    except Exception:  # training says it better, with the client's name
        return 1
    return 1


def evaluate(module: torch.nn.Module, examples: Examples, scoring: Scoring) -> Scores:
    """Run the rows through a model once, and score them.

    Raises:
        TaskError: A metric raised, or returned something else than a number.
    """
    return scoring.score(_outputs(module, examples.x).numpy(), examples.y)


def outcomes_of(module: torch.nn.Module, examples: Examples, scoring: Scoring) -> dict[str, Any]:
    """Run the rows through a float model, and count what it said (:mod:`~.outcomes`)."""
    outputs = _outputs(module, examples.x).numpy()
    return count_outcomes(scoring.kind, {FLOAT: outputs}, examples.y)


def accuracy(module: torch.nn.Module, examples: Examples) -> float:
    """Return the share of rows whose largest output is the target class, in [0, 1]."""
    found = evaluate(module, examples, Scoring(CLASSIFICATION, {})).accuracy
    assert found is not None  # a classification always has one
    return found


def _outputs(module: torch.nn.Module, x: object) -> torch.Tensor:
    module.eval()
    with torch.inference_mode():
        outputs: torch.Tensor = module(torch.from_numpy(x))
    return outputs
