"""The server's own joules: the same record as a client's, with ``server`` in place of a number."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

import frugalfl
from frugalfl.energy import SERVER, choose_meter, parse_electricity, profile_named
from frugalfl.energy.recorder import Recorder

#: The server is none of the devices that the setting ``device`` speaks of.
_PROFILE = "generic"


def server_energy(run: str, grid: str) -> Recorder:
    """Return what collects the server's energy records of a run; windows name their round."""
    return Recorder(
        choose_meter(profile_named(_PROFILE)),
        run=run,
        client=SERVER,
        device=_PROFILE,
        grid=parse_electricity(grid),
        software=f"frugalfl {frugalfl.__version__}, flwr {metadata.version('flwr')}",
    )


class MeteredStrategy(Strategy):
    """A strategy whose own work, before and after the clients', is metered.

    Flower counts the rounds of each start from 1; the strategy inside is told how many there were
    before, in this phase of a run that is resumed.
    """

    def __init__(self, inner: Strategy, energy: Recorder, first_round: int, done: int = 0) -> None:
        """Wrap a strategy.

        Args:
            inner: The strategy.
            energy: Takes its records.
            first_round: Of the phase.
            done: Rounds of the phase that are over.
        """
        self._inner = inner
        self._energy = energy
        self._before = first_round - 1
        self._done = done

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Let the strategy encode what goes down."""
        server_round += self._done
        with self._energy.window("encode", round=self._before + server_round):
            return list(self._inner.configure_train(server_round, arrays, config, grid))

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Let the strategy aggregate what came up, once it is all there."""
        server_round += self._done
        received = list(replies)
        with self._energy.window("aggregate", round=self._before + server_round):
            return self._inner.aggregate_train(server_round, received)

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Hand on."""
        return self._inner.configure_evaluate(server_round + self._done, arrays, config, grid)

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Hand on."""
        return self._inner.aggregate_evaluate(server_round + self._done, replies)

    def summary(self) -> None:
        """Hand on."""
        self._inner.summary()
