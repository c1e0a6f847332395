"""Settings that a subspace would ignore or cannot do, and those that none was measured with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from frugalfl.settings.rounds import RoundSettings
from frugalfl.settings.wire import WireSettings

if TYPE_CHECKING:
    from frugalfl.settings.settings import Settings


class Refusal(NamedTuple):
    """Why a subspace does not go with a setting, and what to set instead."""

    why: str
    instead: str


def refusals(settings: Settings) -> Iterator[Refusal]:
    """Yield what speaks against any subspace with these settings."""
    wire, rounds = settings.wire, settings.rounds
    if rounds.asynchronous:
        named = "a subspace" if wire.subspace is None else wire.refresh
        yield Refusal(
            f"{named} needs whole rounds: a late update would be of coordinates "
            "that have been folded since",
            "leave asynchronous out, or take refresh = full",
        )
    if rounds.strategy.startswith("qfedavg"):
        yield Refusal(
            f"strategy {rounds.strategy} takes updates for gradients times learning-rate, which "
            "steps of a subspace are not",
            "take another strategy, or refresh = full",
        )
    if wire.downlink_budget or wire.downlink != WireSettings.downlink:
        yield Refusal(
            "a subspace has a way down of its own, which sends all of its coordinates",
            "leave downlink and downlink-budget out, or set refresh = full",
        )


def not_measured(settings: Settings) -> Iterator[str]:
    """Yield settings that a subspace takes, and that nobody has measured one with.

    The rule for ``refresh = auto`` (:func:`frugalfl.plans.choose_plan`) rests on measurements.
    """
    wire, rounds, train = settings.wire, settings.rounds, settings.train
    given = (
        ("start-from", settings.run.start_from, ""),
        ("strategy", rounds.strategy, RoundSettings.strategy),
        ("sampling", rounds.sampling, RoundSettings.sampling),
        ("uplink", wire.uplink, WireSettings.uplink),
        ("optimizer", train.optimizer if train.local_optimizer.adaptive else "", ""),
    )
    for key, value, default in given:
        if value != default:
            yield f"no subspace was measured with {key} = {value}"
