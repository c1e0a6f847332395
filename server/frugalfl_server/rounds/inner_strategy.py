"""A strategy, asked so that what goes wrong in it is one line that names it.

Strategies may be a user's own: what they raise or return is theirs to mend, and never the server's
traceback.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from frugalfl.errors import FrugalFLError, TaskError
from frugalfl.text import printable
from frugalfl_server.rounds.adaptive_steps import name_of


def pick(
    strategy: Strategy, number: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
) -> list[Message]:
    """Let a strategy say what it tells clients.

    Raises:
        TaskError: It raised, or returned something else than messages.
    """
    with _naming(strategy, "configure_train"):
        messages = list(strategy.configure_train(number, arrays, config, grid))
        if not all(isinstance(one, Message) for one in messages):
            raise TypeError("it returned something else than Messages")
        return messages


def aggregate(
    strategy: Strategy, number: int, replies: Iterable[Message], shapes: dict[str, tuple[int, ...]]
) -> tuple[ArrayRecord | None, MetricRecord | None]:
    """Let a strategy make its step.

    Args:
        strategy: Flower's, or a user's own.
        number: The round as Flower counts.
        replies: What it is shown.
        shapes: Of the model's tensors, by name.

    Raises:
        TaskError: It raised, or returned something else than arrays of these shapes, and metrics.
    """
    with _naming(strategy, "aggregate_train"):
        found = strategy.aggregate_train(number, replies)
        if not isinstance(found, tuple) or len(found) != 2:
            raise TypeError(f"it returned {type(found).__name__}, not (ArrayRecord, MetricRecord)")
        arrays, metrics = found
        if arrays is not None and not isinstance(arrays, ArrayRecord):
            raise TypeError(f"its model is of type {type(arrays).__name__}, not ArrayRecord")
        if arrays is not None:
            own = {name: tuple(array.shape) for name, array in arrays.items()}
            wrong = [name for name in shapes if own.get(name) not in (shapes[name], None)]
            if own.keys() != shapes.keys() or wrong:
                name = next(iter([*wrong, *(own.keys() ^ shapes.keys())]))
                raise ValueError(
                    f"its model has {name} as {own.get(name)}, the model has {shapes.get(name)}"
                )
        return arrays, metrics


@contextmanager
def _naming(strategy: Strategy, method: str) -> Iterator[None]:
    try:
        yield
    except FrugalFLError:
        raise
    except Exception as error:
        said = printable(str(error))
        raise TaskError(
            f"the strategy {name_of(strategy)}: {method} failed: {type(error).__name__}: {said}"
        ) from error
