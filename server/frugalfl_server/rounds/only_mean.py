"""Whether a strategy needs more of a round than the weighted mean."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any

from flwr.serverapp.strategy import FedAvg, Strategy
from flwr.serverapp.strategy.strategy_utils import aggregate_metricrecords


def needs_only_mean(strategy: Strategy) -> bool:
    """Tell whether ``aggregate_train`` is FedAvg's weighted mean, then something on the server.

    It is if it is FedAvg's own, or hands the replies on to the one it inherits, and does nothing
    else with them. That is read from the code, so it holds for a user's own strategy, too; where
    there is any doubt the answer is no, which costs memory and time, but changes no result.
    """
    if not isinstance(strategy, FedAvg) or "aggregate_train" in vars(strategy):
        return False
    # Other weights than the clients' rows, or figures of each client, need the single replies.
    if (
        strategy.weighted_by_key != "num-examples"
        or strategy.train_metrics_aggr_fn is not aggregate_metricrecords
        or type(strategy)._check_and_log_replies is not FedAvg._check_and_log_replies
    ):
        return False
    for kind in type(strategy).__mro__:
        own = vars(kind).get("aggregate_train")
        if own is FedAvg.aggregate_train:
            return True
        if own is not None and not _hands_on(own):
            return False
    return False


def _hands_on(function: Any) -> bool:
    """Tell whether the replies are named once: as an argument of super().aggregate_train."""
    try:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return False
    if not isinstance(definition, ast.FunctionDef) or definition.decorator_list:
        return False
    parameters = [argument.arg for argument in definition.args.args]
    if len(parameters) != 3:
        return False
    nodes = list(ast.walk(definition))
    given = [
        value
        for node in nodes
        if isinstance(node, ast.Call) and _is_inherited(node.func)
        for value in [*node.args, *(keyword.value for keyword in node.keywords)]
        if isinstance(value, ast.Name)
    ]
    named = [node for node in nodes if isinstance(node, ast.Name) and node.id == parameters[2]]
    return len(named) == 1 and named[0] in given


def _is_inherited(function: ast.expr) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and function.attr == "aggregate_train"
        and isinstance(function.value, ast.Call)
        and isinstance(function.value.func, ast.Name)
        and function.value.func.id == "super"
    )
