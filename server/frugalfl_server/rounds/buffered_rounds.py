"""The steps of a buffered phase, top to bottom: ask, wait, take, step; and the leaving at its end.

So many clients are at work at all times. A reply frees a place, and another client starts on the
newest model. When a phase ends, nobody is asked any more, and those still at work are waited for,
because the next phase cannot use what they do: their updates are left out, what they spent counts,
and what they hold is known.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import replace

from flwr.app import ArrayRecord, Message
from flwr.serverapp import Grid

from frugalfl.energy import spent
from frugalfl.energy.record import known_sum
from frugalfl.energy.recorder import Recorder
from frugalfl_server.exchange.in_flight import InFlight
from frugalfl_server.rounds.buffered import BufferedSteps
from frugalfl_server.rounds.stopping import TrainingOver
from frugalfl_server.rounds.synchronous import AfterRound
from frugalfl_server.rounds.traffic import Traffic
from frugalfl_server.run.directory import RunDirectory

#: How often to look for clients where none is left to ask (s).
_LOOK_S = 0.5

_log = logging.getLogger(__name__)


class BufferedRounds:
    """Fills buffers and makes steps of them, and meters the server's own work."""

    def __init__(
        self,
        steps: BufferedSteps,
        energy: Recorder,
        first_round: int,
        clients: int,
    ) -> None:
        """Begin a phase.

        Args:
            steps: What is driven.
            energy: Collects the server's records.
            first_round: Number of the phase's first step.
            clients: Clients at work at a time. Where fewer are connected, and all of them have
                done their part of a step, it waits for more.
        """
        self._buffer = steps
        self._energy = energy
        self._before = first_round - 1
        self._clients = clients

    def run(self, grid: Grid, arrays: ArrayRecord, rounds: int, after_round: AfterRound) -> None:
        """Make so many steps of the model; the arguments are those of synchronous rounds.

        Raises:
            TrainingOver: ``after_round`` ended training, or too few clients may be asked.
            FederationError: No client could train.
        """
        at_work = InFlight(grid)
        try:
            self._steps(grid, at_work, arrays, rounds, after_round)
        except TrainingOver:
            self._leave(at_work)
            raise
        self._leave(at_work)

    def _steps(
        self,
        grid: Grid,
        at_work: InFlight,
        arrays: ArrayRecord,
        steps: int,
        after_round: AfterRound,
    ) -> None:
        buffer = self._buffer
        for step in range(1, steps + 1):
            number = self._before + step
            with self._energy.window("encode", round=number):
                buffer.begin(step, arrays, grid)
            for message in self._replies(grid, at_work, number):
                with self._energy.window("aggregate", round=number):
                    buffer.take(message)
                if buffer.full:
                    break
            with self._energy.window("aggregate", round=number):
                moved, _ = buffer.conclude(step)
            arrays = arrays if moved is None else moved
            arrays = after_round(step, arrays)

    def _replies(self, grid: Grid, at_work: InFlight, number: int) -> Iterator[Message]:
        """Yield replies as they come, and have others start; end where nobody is left to ask."""
        while True:
            # What has come at the same time is taken together, so that nobody starts on a model
            # that is about to be the last but one.
            if not at_work.come:
                self._employ(grid, at_work, number)
            if not at_work.come and not at_work:
                return
            yield at_work.receive()

    def _employ(self, grid: Grid, at_work: InFlight, number: int) -> None:
        while True:
            nodes = list(grid.get_node_ids())
            if len(at_work) < self._clients:
                with self._energy.window("encode", round=number):
                    messages = self._buffer.ask(nodes, at_work.nodes)
                at_work.send(messages)
            if at_work or len(nodes) >= self._clients:
                return
            time.sleep(_LOOK_S)

    def _leave(self, at_work: InFlight) -> None:
        self._buffer.begin_leaving()
        if at_work:
            _log.info(f"waiting for {len(at_work)} clients that are still at work")
        while at_work.come or at_work:
            self._buffer.take_leave(at_work.receive())


def add_to_last_row(run: RunDirectory, traffic: Traffic, simulated_s: float | None) -> None:
    """Count what came after the last step with that step."""
    last = run.rounds[-1]
    energy = spent(traffic.energy)
    run.rounds[-1] = replace(
        last,
        uplink_bytes=last.uplink_bytes + traffic.uplink_bytes,
        uploads=(last.uploads or 0) + traffic.uploads,
        energy_measured_j=known_sum([last.energy_measured_j, energy.measured_j]),
        energy_estimated_j=known_sum([last.energy_estimated_j, energy.estimated_j]),
        wall_s=last.wall_s + time.monotonic() - traffic.started_s,
        simulated_s=known_sum([last.simulated_s, simulated_s]),
    )
