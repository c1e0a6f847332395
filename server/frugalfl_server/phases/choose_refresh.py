"""``refresh = "auto"``: what it becomes, before clients are told of the settings."""

from __future__ import annotations

from math import ceil, prod

from frugalfl.blocks import is_statistic
from frugalfl.modules import constants_of, read_parameters
from frugalfl.plans import Choice, Situation, choose_plan
from frugalfl.plans.round_bytes import first_model_b
from frugalfl.private import split
from frugalfl.settings import Settings
from frugalfl.settings.subspaces import not_measured, refusals
from frugalfl.task import Task
from frugalfl_server.run.checkpoint import random_state, set_random_state
from frugalfl_server.run.directory import Chosen

_KEY = "refresh"
_TREES = Choice("full", "trees have no weights to choose from")
_TOLD = Choice(
    "full",
    "flwr run tells clients the settings as they are; frugalfl serve and frugalfl simulate choose "
    "before",
)


def choose_refresh(task: Task, settings: Settings) -> tuple[Settings, Chosen]:
    """Return settings with a plan in place of ``auto``, and what to tell of that.

    Args:
        task: Its model is built; all random numbers are left as they were.
        settings: Of the run that is about to be made; its clients know nothing of them yet.

    Raises:
        TaskError: The model cannot be built.
        UsageError: The private blocks are not the model's.
    """
    if not settings.wire.asks_auto:
        return settings, {}
    if settings.train.trees:
        return _with(settings, _TREES)
    drawn = random_state()
    try:
        return _with(settings, choose_plan(_situation(task, settings)))
    finally:
        set_random_state(drawn)


def refresh_as_told(settings: Settings) -> tuple[Settings, Chosen]:
    """Do the same for a run of whose settings the clients have been told already, by Flower."""
    if not settings.wire.asks_auto:
        return settings, {}
    return _with(settings, _TREES if settings.train.trees else _TOLD)


def _with(settings: Settings, choice: Choice) -> tuple[Settings, Chosen]:
    return settings.changed(refresh=choice.plan), {_KEY: str(choice)}


def _situation(task: Task, settings: Settings) -> Situation:
    module = task.new_model()
    shared, _ = split(read_parameters(module), settings.wire.private)
    still = constants_of(module)
    sizes = {name: prod(tensor.shape) for name, tensor in shared.items() if name not in still}
    statistics = sum(size for name, size in sizes.items() if is_statistic(name))
    rounds, seeded = settings.rounds, settings.run.initial == "seeded"
    return Situation(
        weights=sum(sizes.values()) - statistics,
        statistics=statistics,
        clients=settings.simulation.clients,
        asked=ceil(rounds.clients_per_round * (1 + rounds.over_select)),
        rounds=rounds.count,
        uplink_budget=settings.wire.uplink_budget,
        first_b=0.0 if seeded else first_model_b(sum(sizes.values())),
        against=_against(task, settings),
    )


def _against(task: Task, settings: Settings) -> str:
    """Return the first thing in settings and task that speaks against a subspace; empty: none."""
    if task.strategy is not None:
        return f"the task {task.name} has a strategy of its own"
    refusal = next(refusals(settings), None)
    return refusal.why if refusal else next(not_measured(settings), "")
