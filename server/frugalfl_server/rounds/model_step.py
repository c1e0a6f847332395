"""The end of a round: what was contributed becomes the next model, or the model stays."""

from __future__ import annotations

import logging
import math

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord
from flwr.serverapp.strategy import Strategy

from frugalfl.blocks import Parameters
from frugalfl.errors import FederationError
from frugalfl_server.cohort.quarantine import Quarantine
from frugalfl_server.rounds.flower_arrays import unpack
from frugalfl_server.rounds.inner_strategy import aggregate
from frugalfl_server.rounds.rate_control import RateControl
from frugalfl_server.rounds.traffic import Traffic

#: A run ends when nobody has answered for so many rounds.
_MOST_SILENT = 3

_log = logging.getLogger(__name__)


class ModelStep:
    """Makes the strategy's step, unless too little came for one."""

    def __init__(
        self, strategy: Strategy, steering: RateControl, quarantine: Quarantine, quorum: float
    ) -> None:
        """Begin a phase.

        Args:
            strategy: Flower's.
            steering: Turns what it returns into float32 that clients can follow.
            quarantine: Knows who cannot train.
            quorum: The setting: fewer updates than this leave the model as it is.
        """
        self._strategy = strategy
        self._steering = steering
        self._quarantine = quarantine
        self._quorum = quorum
        self._silent = 0

    def make(
        self,
        server_round: int,
        contributions: list[Message],
        traffic: Traffic,
        model: Parameters,
        moved: set[str],
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Let the strategy make its step; ``None``: the model stays as it is.

        Args:
            server_round: The round as Flower counts.
            contributions: What the strategy is shown.
            traffic: What the round cost and brought; takes the loss.
            model: What the updates were added to.
            moved: Names of the tensors that somebody trained; the others keep their bits.

        Raises:
            FederationError: Every client of the round failed, or nobody answers any more.
            TaskError: Every client of the round failed, each because of its own task.
        """
        if self._failed(traffic) or self._below_quorum(traffic):
            return None, None
        shapes = {name: tensor.shape for name, tensor in model.items()}
        arrays, metrics = aggregate(self._strategy, server_round, contributions, shapes)
        if arrays is not None and not _finite(arrays):
            _log.warning(
                f"round {traffic.round}: the strategy made NaN or infinity of the updates; "
                "the model stays as it was"
            )
            return None, None
        if arrays is not None:
            self._settle(arrays, model, moved)
        if metrics is not None:
            traffic.loss = float(metrics["train-loss"])  # type: ignore[arg-type]
        return arrays, metrics

    def _failed(self, traffic: Traffic) -> bool:
        """Say whether every client failed, each because of its own task.

        Raises:
            FederationError: Every client failed, for other reasons.
            TaskError: No client can train.
        """
        failed = len(traffic.failures) >= traffic.clients > 0
        if not failed or traffic.updates or traffic.far:
            return False
        if traffic.unfit == len(traffic.failures):
            self._quarantine.unfit.check_round(traffic.round, traffic.clients)
            return True
        raise FederationError(
            f"round {traffic.round}: none of {traffic.clients} clients could train; "
            f"the first said: {traffic.failures[0]}"
        )

    def _below_quorum(self, traffic: Traffic) -> bool:
        """Say so if a round brought too little to go on with.

        Raises:
            FederationError: Nobody has answered for several rounds.
        """
        self._silent = 0 if traffic.answers or not traffic.clients else self._silent + 1
        if self._silent == _MOST_SILENT:
            raise FederationError(
                f"round {traffic.round}: nobody has answered in {self._silent} rounds in a row; "
                "are the nodes connected, and is round-deadline long enough for a device to train?"
            )
        share = self._quorum * traffic.clients if self._quorum < 1 else self._quorum
        if traffic.updates >= share or not traffic.clients:
            return False
        _log.warning(
            f"round {traffic.round}: {traffic.updates} of {traffic.clients} clients contributed in "
            f"time, the quorum is {math.ceil(share)}: the model stays as it is"
        )
        traffic.updates = 0
        return True

    def _settle(self, arrays: ArrayRecord, model: Parameters, moved: set[str]) -> None:
        """Settle what a strategy returned, in float32; what nobody trained keeps its bits.

        In place: FedAvgM takes its next step from the very record that it returned.
        """
        settled = self._steering.settle(unpack(arrays))
        for name in arrays:
            value = settled[name] if name in moved else model[name]
            arrays[name] = Array(np.asarray(value))  # sums of a single number are no array


def _finite(arrays: ArrayRecord) -> bool:
    return all(np.isfinite(array.numpy()).all() for array in arrays.values())
