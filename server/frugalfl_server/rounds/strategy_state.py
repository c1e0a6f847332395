"""What a Flower strategy keeps from round to round: momentum, moments, the last model.

Flower's strategies have no common way to hand that out. It is their plain attributes: arrays, and
numbers that never change. Functions are left where they are, and a strategy inside a strategy is
asked for its own attributes. An object that can be called, such as a module, is no function: it may
remember something.
"""

from __future__ import annotations

import copy
from functools import partial
from inspect import isclass, isroutine
from typing import Any

import numpy as np
from flwr.app import ArrayRecord
from flwr.serverapp.strategy import Strategy

from frugalfl.errors import UsageError
from frugalfl_server.rounds.flower_arrays import pack

_PLAIN = (bool, int, float, str)


def state_of(strategy: Strategy) -> dict[str, Any]:
    """Return a strategy's attributes, for a checkpoint.

    Raises:
        TypeError: It keeps something else than arrays, plain values and functions; the message
            names it.
    """
    return {
        name: _state(f"{type(strategy).__name__}.{name}", value)
        for name, value in vars(strategy).items()
        if not _is_function(value)
    }


def begin_of(strategy: Strategy) -> dict[str, Any]:
    """Return what a strategy remembers before its first round, to begin anew with.

    Raises:
        UsageError: It keeps something that cannot be put back at a fold.
    """
    try:
        return copy.deepcopy(state_of(strategy))
    except TypeError as error:
        raise UsageError(
            f"a subspace begins the strategy anew at each fold, and {error}; set refresh = full"
        ) from error


def begin_anew(strategy: Strategy, begin: dict[str, Any]) -> None:
    """Give a strategy back what :func:`begin_of` returned; what it has set since goes."""
    _forget_others(strategy, begin)
    restore(strategy, begin)


def _forget_others(strategy: Strategy, known: dict[str, Any]) -> None:
    for name, value in list(vars(strategy).items()):
        if name not in known and not _is_function(value):
            delattr(strategy, name)
    for name, (kind, value) in known.items():
        if kind == "strategy":
            _forget_others(getattr(strategy, name), value)


def restore(strategy: Strategy, state: dict[str, Any]) -> None:
    """Give a new strategy of the same kind what :func:`state_of` returned."""
    for name, (kind, value) in state.items():
        if kind == "strategy":
            restore(getattr(strategy, name), value)
        else:
            setattr(strategy, name, pack(value) if kind == "record" else value)


def _is_function(value: Any) -> bool:
    """Say whether something is a function, or one with arguments bound to it, or a class."""
    if isinstance(value, partial):
        return _is_function(value.func)
    return isroutine(value) or isclass(value) or isinstance(value, np.ufunc)


def _state(name: str, value: Any) -> tuple[str, Any]:
    if isinstance(value, Strategy):
        return "strategy", state_of(value)
    if isinstance(value, ArrayRecord):
        return "record", {key: array.numpy() for key, array in value.items()}
    parts = [value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        parts = list(value.values())
    elif isinstance(value, list):
        parts = value
    if all(part is None or isinstance(part, (*_PLAIN, np.generic, np.ndarray)) for part in parts):
        return "value", value
    raise TypeError(f"{name} is a {type(value).__name__}, which a checkpoint cannot hold")
