"""Find out what kind of task this is, from one batch and the loss, or ask for it in one line.

A kind is taken for granted only if nothing else fits. What the loss computes is found out by
trying it on drawn numbers: binary cross-entropy, of logits or of probabilities, is told from
squared errors by its values, whatever the function is called.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from frugalfl.errors import TaskError
from frugalfl.kinds.kind import CLASSIFICATION, KINDS, Kind, kind_named
from frugalfl.task import Examples, Task

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[Any]
_CLOSE = 1e-4
#: Targets that segmentation losses are told to ignore, and most numbers that are tried.
_COMMON_IGNORED, _MOST_TRIED = (255, -1), 32
#: What PyTorch's cross-entropy ignores if it is told nothing.
_IGNORED_BY_DEFAULT = -100
#: Size of the small image that they are tried on.
_TRIED_PLACES = 4


def kind_of(task: Task, outputs: torch.Tensor, examples: Examples, whose: str) -> Kind:
    """Return the kind of a task, once outputs and targets are known to go together.

    Args:
        task: With the kind that it says, or none.
        outputs: Of its model for the first of these rows.
        examples: Rows of the task.
        whose: Rows they are, for the message.

    Raises:
        TaskError: They do not go together, or several kinds fit and the task says none.
    """
    if not hasattr(outputs, "detach"):
        raise TaskError(
            f"task {task.name!r}: the model returns a {type(outputs).__name__}, not one tensor; "
            "return the outputs that the loss takes"
        )
    first = Examples(examples.x[: len(outputs)], examples.y[: len(outputs)])
    kind = kind_named(task.kind) if task.kind else _infer(task, outputs, first, examples)
    kind = _without_ignored(task, kind, outputs, examples.y)
    check_kind(kind, tuple(outputs.shape), examples.y, f"task {task.name!r}: {whose}")
    return _of_probabilities(task, kind, outputs, first.y.shape)


def check_kind(kind: Kind, outputs: tuple[int, ...], targets: Array, whose: str) -> None:
    """See that outputs and targets go together.

    Args:
        kind: Of the task.
        outputs: Shape of a model's outputs.
        targets: Of all rows.
        whose: They are, for the message.

    Raises:
        TaskError: They do not.
    """
    if why := kind.misfit(outputs, targets):
        raise TaskError(f"{whose}: {why}")


def _infer(task: Task, outputs: torch.Tensor, first: Examples, examples: Examples) -> Kind:
    if isinstance(task.loss, str) or np.issubdtype(examples.y.dtype, np.integer):
        return KINDS["segmentation"] if outputs.ndim > 2 else CLASSIFICATION
    _refuse_every_with_every(task, outputs, first)
    if examples.y.shape == examples.x.shape and np.array_equal(examples.y, examples.x):
        return KINDS["reconstruction"]
    if _cross_entropy_of(task, outputs, first.y.shape):
        single = int(np.prod(outputs.shape[1:])) == 1
        return KINDS["binary" if single else "multi-label"]
    if not np.isin(examples.y, (0, 1)).all():
        return KINDS["regression"]
    raise TaskError(
        f"task {task.name!r}: its targets are all 0 or 1 and its loss is none that is known here; "
        'say what it learns: Task(..., kind="binary"), "multi-label" or "regression"'
    )


def _of_probabilities(
    task: Task, kind: Kind, outputs: torch.Tensor, targets: tuple[int, ...]
) -> Kind:
    """Return the same kind with the threshold of probabilities, if the loss takes these."""
    labels = kind.name in ("binary", "multi-label")
    if labels and _cross_entropy_of(task, outputs, targets) == "shares":
        return kind_named(f"{kind.name}(0.5)")
    return kind


def _without_ignored(task: Task, kind: Kind, outputs: torch.Tensor, targets: Array) -> Kind:
    """Return the same kind without places that the loss ignores, if it ignores some."""
    named = kind.name == "segmentation" and np.issubdtype(targets.dtype, np.integer)
    if not named or outputs.ndim < 3:
        return kind
    classes = outputs.shape[1]
    beyond = np.unique(targets[(targets < 0) | (targets >= classes)])[:_MOST_TRIED].tolist()
    numbers = beyond or [
        *_said_to_ignore(task.loss), *_COMMON_IGNORED, *range(min(classes, _MOST_TRIED))
    ]  # fmt: skip
    for number in numbers:
        if _is_ignored(task, outputs, number):
            return kind_named(f"segmentation({number})")
    return kind


def _said_to_ignore(loss: object) -> list[int]:
    """Return what a loss says that it ignores, as a module or as a function with arguments bound.

    What PyTorch ignores by default nobody has said: it is for rows that have it.
    """
    module = getattr(loss, "__self__", loss)  # e.g. nn.CrossEntropyLoss(...).forward
    bound = getattr(loss, "keywords", {}).get("ignore_index")
    said = (getattr(module, "ignore_index", None), bound)
    return [int(one) for one in said if isinstance(one, int) and one != _IGNORED_BY_DEFAULT]


def _is_ignored(task: Task, outputs: torch.Tensor, number: int) -> bool:
    """Say whether a loss does not look at outputs if the target is this number.

    Every second place of a small image gets it as its target, and then other outputs.
    """
    if isinstance(task.loss, str):
        return number == _IGNORED_BY_DEFAULT
    rng, places = np.random.default_rng(2), (min(size, _TRIED_PLACES) for size in outputs.shape[2:])
    shape = (2, outputs.shape[1], *places)
    drawn, targets = rng.normal(size=shape), rng.integers(0, shape[1], (2, *shape[2:]))
    ignored = np.arange(targets.size).reshape(targets.shape) % 2 == 0
    targets[ignored] = number
    others = np.where(ignored[:, None], rng.normal(size=shape), drawn)
    one, other = (_try_loss(task, outputs, given, targets) for given in (drawn, others))
    return one is not None and math.isfinite(one) and one == other


def _cross_entropy_of(task: Task, outputs: torch.Tensor, targets_shape: tuple[int, ...]) -> str:
    """Say what a loss is the binary cross-entropy of: ``logits``, ``shares``, or nothing."""
    rng = np.random.default_rng(0)
    shape = tuple(outputs.shape)
    if int(np.prod(shape)) != int(np.prod(targets_shape)):
        return ""
    shares, targets = rng.uniform(0.05, 0.95, shape), rng.integers(0, 2, shape)
    exact = -np.log(np.where(targets == 1, shares, 1 - shares)).mean()
    logits = np.log(shares / (1 - shares))
    for name, given in (("shares", shares), ("logits", logits)):
        found = _try_loss(task, outputs, given, targets.reshape(targets_shape).astype(np.float64))
        if found is not None and abs(found - exact) < _CLOSE:
            return name
    return ""


def _refuse_every_with_every(task: Task, outputs: torch.Tensor, first: Examples) -> None:
    """Refuse a loss that compares every row with every other: (n, 1) against (n,) broadcasts.

    Raises:
        TaskError: Its value does not change if the targets are put into another order.
    """
    rng = np.random.default_rng(1)
    if len(outputs) < 2 or tuple(outputs.shape) == first.y.shape:
        return
    drawn, targets = rng.normal(size=tuple(outputs.shape)), rng.random(first.y.shape)
    plain, turned = (
        _try_loss(task, outputs, drawn, given) for given in (targets, np.roll(targets, 1, axis=0))
    )
    if plain is not None and turned is not None and abs(plain - turned) < _CLOSE * abs(plain):
        raise TaskError(
            f"task {task.name!r}: its loss compares every row with every other, because outputs "
            f"have shape {tuple(outputs.shape)} and targets {first.y.shape}; give both the same "
            "shape, e.g. targets y[:, None]"
        )


def _try_loss(task: Task, like: torch.Tensor, outputs: Array, targets: Array) -> float | None:
    """Return what the loss says of some numbers; ``None``: it does not take them."""
    loss: Callable[..., Any] = task.loss  # type: ignore[assignment]
    wanted = like.long() if targets.dtype.kind == "i" else like
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of broadcasting: that is what is looked for
            return float(loss(like.new_tensor(outputs), wanted.new_tensor(targets)))
    except Exception:  # a loss may refuse numbers that are none of its task's
        return None
