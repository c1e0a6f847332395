"""Any Flower strategy, with frames outside and arrays inside.

The wrapped strategy picks the clients and averages, as it always does; this one turns the arrays
that it sends into frames, one bundle a client, and the frames that come back into arrays: of each
client, or where only the mean is needed, of the mean of all (docs/aggregation.md). An update is
added to the server's own model, not to the clients' view of it, so that what the downlink has not
yet delivered is not lost.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy
from flwr.supercore.differential_privacy import KEY_CLIPPING_NORM

from frugalfl import wire
from frugalfl.blocks import Parameters, Plan
from frugalfl.codec import Limits, decode_frame
from frugalfl.energy import EnergyRecord
from frugalfl.errors import FederationError, FrameError, UsageError
from frugalfl_server.aggregate import Accumulator
from frugalfl_server.arrays import unpack
from frugalfl_server.downlink import Downlink
from frugalfl_server.only_mean import needs_only_mean
from frugalfl_server.steering import Steering

_MOST_SAMPLES = 1 << 31


@dataclass
class Traffic:
    """What one round cost and brought, filled while it runs."""

    round: int
    started_s: float
    clients: int = 0
    updates: int = 0
    uplink_bytes: int = 0
    downlink_bytes: int = 0
    loss: float = 0.0
    energy: list[EnergyRecord] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class FrugalStrategy(Strategy):
    """Wraps ``inner``; hooks run inwards on the way down and outwards on the way up."""

    def __init__(
        self,
        inner: Strategy,
        downlink: Downlink,
        plan: Plan,
        steering: Steering,
        run: str,
        first_round: int = 1,
        on_failure: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._inner = inner
        self._aggregate = self._mean if needs_only_mean(inner) else self._each
        self._downlink = downlink
        self._plan = plan
        self._steering = steering
        self._run = run
        self._first_round = first_round
        self._on_failure = on_failure
        self._limits = Limits.of(downlink.layout)
        self._model: Parameters = {}
        self._frozen: set[str] = set()
        self.traffic = Traffic(first_round, time.monotonic())

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Let the inner strategy pick clients; send each the frames that it lacks."""
        self.traffic = Traffic(self._first_round + server_round - 1, time.monotonic())
        self._model = unpack(arrays)
        self._model = self._downlink.advance(self._model)
        planned = self._plan(server_round, self._downlink.layout)
        self._frozen = set(self._model) - set(self._downlink.layout.names(planned))
        picked = self._inner.configure_train(server_round, arrays, config, grid)
        picked = list(picked)
        uplink = self._steering.codec_for(len(picked))
        bundles = self._downlink.bundles_for(m.metadata.dst_node_id for m in picked)
        return [self._framed(message, planned, bundles, uplink) for message in picked]

    def _framed(
        self,
        message: Message,
        planned: tuple[int, ...],
        bundles: dict[int, tuple[int, bytes]],
        uplink: str,
    ) -> Message:
        node = message.metadata.dst_node_id
        base, frames = bundles[node]
        self.traffic.clients += 1
        self.traffic.downlink_bytes += len(frames)
        request = wire.TrainRequest(
            self._run, self.traffic.round, base, self._downlink.version, planned, frames, uplink,
            proximal_mu=_proximal_mu(message),
        )  # fmt: skip
        return Message(
            wire.pack_request(request),
            dst_node_id=node,
            message_type=message.metadata.message_type,
            ttl=message.metadata.ttl,
            group_id=str(self.traffic.round),
        )

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Check each frame, then let the inner strategy aggregate.

        A client that failed, sent a damaged frame or holds another version costs its own
        contribution only.

        Raises:
            FederationError: Not one client of the round contributed.
        """
        contributions = self._aggregate(replies)
        for failure in self.traffic.failures:
            self._on_failure(failure)
        if self.traffic.clients and len(self.traffic.failures) == self.traffic.clients:
            raise FederationError(
                f"round {self.traffic.round}: none of {self.traffic.clients} clients could train; "
                f"the first said: {self.traffic.failures[0]}"
            )
        arrays, metrics = self._inner.aggregate_train(server_round, contributions)
        if arrays is not None:
            self._tidy(arrays)
        if metrics is not None:
            self.traffic.loss = float(metrics["train-loss"])  # type: ignore[arg-type]
        return arrays, metrics

    def _mean(self, replies: Iterable[Message]) -> list[Message]:
        """Add all updates to one sum as they are; return one reply, with the mean of them."""
        total = Accumulator(self._downlink.layout)
        samples, loss = 0, 0.0
        last: Message | None = None
        for message in replies:
            with self._blamed(message):
                reply = self._received(message)
                if reply is not None:
                    added = total.add(reply.frame, reply.samples)
                    if self._steering.active:
                        self._steering.note(added.steering(), reply.samples, added.magnitudes())
                    samples += reply.samples
                    loss += reply.samples * reply.loss
                    self.traffic.updates += 1
                    last = message
        if last is None:
            return []
        last.content = wire.pack_average(total.finish(self._model), samples, loss / samples)
        return [last]

    def _each(self, replies: Iterable[Message]) -> list[Message]:
        """Replace the frame in each reply by arrays."""
        decoded = []
        for message in replies:
            with self._blamed(message):
                reply = self._received(message)
                if reply is not None:
                    frame = decode_frame(reply.frame, self._limits)
                    update = frame.named(self._downlink.layout)
                    sizes = {name: float(np.abs(step).sum()) for name, step in update.items()}
                    self._steering.note(frame.steering, reply.samples, sizes)
                    steps = {name: self._model[name] + step for name, step in update.items()}
                    message.content = wire.pack_average(
                        self._model | steps, reply.samples, reply.loss
                    )
                    self.traffic.updates += 1
                    decoded.append(message)
        return decoded

    def _received(self, message: Message) -> wire.TrainReply | None:
        """Unpack a reply and count it; ``None``: the client had nothing to give this time.

        Raises:
            FrameError: The client failed, or its reply is not as it should be.
        """
        node = message.metadata.src_node_id
        if message.has_error():
            raise FrameError(message.error.reason)
        reply = wire.unpack_reply(message)
        self.traffic.energy += reply.records
        self.traffic.uplink_bytes += len(reply.frame)
        self._downlink.confirm(node, reply.held)
        if not reply.frame:
            return None
        if not 0 < reply.samples <= _MOST_SAMPLES or not math.isfinite(reply.loss):
            raise FrameError(f"it trained on {reply.samples} rows, with a loss of {reply.loss}")
        return reply

    @contextmanager
    def _blamed(self, message: Message) -> Iterator[None]:
        """Let a bad reply cost its own contribution only, and note whose it was."""
        try:
            yield
        except FrameError as error:
            self.traffic.failures.append(f"node {message.metadata.src_node_id}: {error}")

    def _tidy(self, arrays: ArrayRecord) -> None:
        """Settle what a strategy returned, in float32; what nobody trained keeps its bits.

        In place: FedAvgM takes its next step from the very record that it returned.
        """
        settled = self._steering.settle(unpack(arrays))
        for name in arrays:
            arrays[name] = Array(self._model[name] if name in self._frozen else settled[name])

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask no client: the model is measured on the server's own rows."""
        return []

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Nothing was asked, nothing is aggregated."""
        return None

    def summary(self) -> None:
        """Let the inner strategy describe itself in Flower's log."""
        self._inner.summary()


def _proximal_mu(message: Message) -> float:
    """Return what the inner strategy wants of the client's loss.

    Raises:
        UsageError: It wants the client to clip its update.
    """
    wishes: dict[str, Any] = {}
    for config in message.content.config_records.values():
        wishes |= config
    if KEY_CLIPPING_NORM in wishes:
        raise UsageError(
            "this strategy has the client clip its update, but a codec comes after that and may "
            "lengthen it again; use the wrapper that clips on the server"
        )
    return float(wishes.get(wire.PROXIMAL_MU, 0.0))
