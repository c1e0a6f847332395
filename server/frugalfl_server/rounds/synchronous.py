"""The rounds of a phase, top to bottom: choose and ask, wait, take in, step, score.

It is the loop of Flower's strategies, without evaluation on clients, and with the server's own work
metered.
"""

from __future__ import annotations

from collections.abc import Callable

from flwr.app import ArrayRecord, ConfigRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from frugalfl.energy.recorder import Recorder

#: A round without a deadline waits so long for answers (s), as Flower does.
_TIMEOUT_S = 3600.0

#: Told the number of a round, from 1, and the model after it; returns the model to go on with.
AfterRound = Callable[[int, ArrayRecord], ArrayRecord]


class SynchronousRounds:
    """Drives a strategy round by round."""

    def __init__(
        self, strategy: Strategy, energy: Recorder, first_round: int, done: int = 0
    ) -> None:
        """Begin a phase, or go on with it.

        Args:
            strategy: What is driven; its rounds count from 1 in each phase.
            energy: Collects the server's records.
            first_round: Number of the phase's first round in the run.
            done: Rounds of the phase that are over, if the run is resumed.
        """
        self._strategy = strategy
        self._energy = energy
        self._before = first_round - 1
        self._done = done

    def run(self, grid: Grid, arrays: ArrayRecord, rounds: int, after_round: AfterRound) -> None:
        """Run so many rounds.

        Args:
            grid: Flower's way to the clients.
            arrays: The model that they begin with.
            rounds: All rounds of the phase, those that are over among them.
            after_round: Called with the number of each round in the phase, and the model.

        Raises:
            TrainingOver: ``after_round`` ended training, or too few clients may be asked.
            FederationError: No client could train.
        """
        for number in range(self._done + 1, rounds + 1):
            with self._energy.window("encode", round=self._before + number):
                messages = list(
                    self._strategy.configure_train(number, arrays, ConfigRecord(), grid)
                )
            replies = list(grid.send_and_receive(messages, timeout=_TIMEOUT_S))
            with self._energy.window("aggregate", round=self._before + number):
                moved, _ = self._strategy.aggregate_train(number, replies)
            arrays = arrays if moved is None else moved
            arrays = after_round(number, arrays)
