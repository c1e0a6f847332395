"""Any Flower strategy, with frames outside and arrays inside.

The wrapped strategy picks the clients and averages, as it always does; this one turns the arrays
that it sends into frames, one bundle a client, and the frames that come back into arrays. An
update is added to the server's own model, not to the clients' view of it, so that what the
downlink has not yet delivered is not lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from frugalfl import wire
from frugalfl.blocks import Parameters, Plan
from frugalfl.codec import Limits, decode_frame
from frugalfl.energy import EnergyRecord
from frugalfl.errors import FederationError, FrameError
from frugalfl_server.arrays import pack, unpack
from frugalfl_server.downlink import Downlink
from frugalfl_server.steering import Steering


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
            self._run, self.traffic.round, base, self._downlink.version, planned, frames, uplink
        )
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
        """Check and decode each frame, then let the inner strategy aggregate.

        A client that failed, sent a damaged frame or holds another version costs its own
        contribution only.

        Raises:
            FederationError: Not one client of the round contributed.
        """
        decoded = [reply for reply in replies if self._decode(reply)]
        for failure in self.traffic.failures:
            self._on_failure(failure)
        if self.traffic.clients and len(self.traffic.failures) == self.traffic.clients:
            raise FederationError(
                f"round {self.traffic.round}: none of {self.traffic.clients} clients could train; "
                f"the first said: {self.traffic.failures[0]}"
            )
        arrays, metrics = self._inner.aggregate_train(server_round, decoded)
        if arrays is not None:
            # Averaging equal tensors rounds them; what nobody trained keeps its bits.
            model = unpack(arrays) | {name: self._model[name] for name in self._frozen}
            arrays = pack(self._steering.settle(model))
        if metrics is not None:
            self.traffic.loss = float(metrics["train-loss"])  # type: ignore[arg-type]
        return arrays, metrics

    def _decode(self, message: Message) -> bool:
        """Replace the frame in a reply by arrays; False: the reply contributes nothing."""
        node = message.metadata.src_node_id
        if message.has_error():
            self.traffic.failures.append(f"node {node}: {message.error.reason}")
            return False
        try:
            reply = wire.unpack_reply(message)
            self.traffic.energy += reply.records
            self.traffic.uplink_bytes += len(reply.frame)
            self._downlink.confirm(node, reply.held)
            if not reply.frame:
                return False
            frame = decode_frame(reply.frame, self._limits)
            update = frame.named(self._downlink.layout)
        except FrameError as error:
            self.traffic.failures.append(f"node {node}: {error}")
            return False
        sizes = {name: float(np.abs(step).sum()) for name, step in update.items()}
        self._steering.note(frame.steering, reply.samples, sizes)
        arrays = self._model | {name: self._model[name] + step for name, step in update.items()}
        message.content = wire.pack_average(arrays, reply.samples, reply.loss)
        self.traffic.updates += 1
        return True

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
