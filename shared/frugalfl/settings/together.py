"""Settings of different subjects that do not go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frugalfl.errors import UsageError
from frugalfl.settings.keys import need
from frugalfl.settings.subspaces import refusals

if TYPE_CHECKING:
    from frugalfl.settings.settings import Settings


def check_together(settings: Settings) -> None:
    """Refuse them by name.

    Raises:
        UsageError: Which two, and what to set instead.
    """
    _check_counts(settings)
    _check_strategy(settings)
    _check_trees(settings)
    _check_private(settings)
    if settings.wire.subspace is not None:
        _check_subspace(settings)


def _check_counts(settings: Settings) -> None:
    rounds, clients = settings.rounds, settings.simulation.clients
    if settings.run.start_from:
        need(rounds.count >= 0, "rounds", rounds.count, "0 or more")
    else:
        need(rounds.count >= 1, "rounds", rounds.count, "at least 1 (0 only with start-from)")
    if rounds.clients_per_round > clients:
        raise UsageError(
            f"clients-per-round is {rounds.clients_per_round}, but there are only {clients} clients"
        )


def _check_strategy(settings: Settings) -> None:
    strategy, train = settings.rounds.strategy, settings.train
    if strategy.startswith("dpfedavg") and settings.wire.steers:
        raise UsageError(
            "dpfedavg does not go with stochastic(auto), whose steps tell of single clients' "
            "updates without any noise; take an uplink such as 'qsgd(8) | range'"
        )
    if strategy.startswith("qfedavg") and train.local_optimizer.adaptive:
        raise UsageError(
            f"strategy {strategy} takes updates for gradients times learning-rate, which steps of "
            f"{train.optimizer} are not; set optimizer = sgd, or another strategy"
        )


def _check_trees(settings: Settings) -> None:
    if settings.train.tree_way and (settings.wire.private or settings.rounds.asynchronous):
        raise UsageError(
            "trees have no private blocks and need whole rounds; leave private and asynchronous "
            "empty"
        )


def _check_private(settings: Settings) -> None:
    if settings.wire.private and settings.export.prunes:
        raise UsageError(
            "private blocks cannot be pruned with the others, because the server does not have "
            "them; set prune = 0 and no target, flash, ram or macs"
        )
    if settings.wire.private and settings.train.trainer == "litert":
        raise UsageError(
            "private blocks begin as the task's model makes them, which takes PyTorch on the "
            "device; leave trainer = litert out"
        )


def _check_subspace(settings: Settings) -> None:
    refusal = next(refusals(settings), None)
    if refusal is not None:
        raise UsageError(f"{refusal.why}; {refusal.instead}")
