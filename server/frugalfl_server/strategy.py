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

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from frugalfl import wire
from frugalfl.blocks import Parameters
from frugalfl.codec import Limits, decode_frame
from frugalfl.energy import EnergyRecord
from frugalfl.errors import FederationError, FrameError
from frugalfl.plans import Plan
from frugalfl_server.arrays import pack, unpack
from frugalfl_server.downlink import Downlink
from frugalfl_server.partial import complete
from frugalfl_server.planner import Planner


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
    scores: list[tuple[float, int]] = field(default_factory=list)

    @property
    def clients_accuracy(self) -> float | None:
        """Mean of what clients measured on their own rows, by rows; ``None``: none measured."""
        rows = sum(scored for _, scored in self.scores)
        return sum(right * scored for right, scored in self.scores) / rows if rows else None


class FrugalStrategy(Strategy):
    """Wraps ``inner``; hooks run inwards on the way down and outwards on the way up."""

    def __init__(
        self,
        inner: Strategy,
        downlink: Downlink,
        plan: Plan,
        run: str,
        first_round: int = 1,
        on_failure: Callable[[str], None] = lambda _: None,
        seed: int = 0,
    ) -> None:
        """Wrap a strategy.

        Raises:
            UsageError: The plan cannot be used with this model.
        """
        self._inner = inner
        self._downlink = downlink
        self._planner = Planner(plan, downlink.layout, seed)
        self._run = run
        self._first_round = first_round
        self._on_failure = on_failure
        self._limits = Limits.of(downlink.layout)
        self._model: Parameters = {}
        self._planned: dict[int, tuple[int, ...]] = {}
        self.traffic = Traffic(first_round, time.monotonic())

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Let the inner strategy pick clients; send each the frames that it lacks."""
        self.traffic = Traffic(self._first_round + server_round - 1, time.monotonic())
        before, self._model = self._model, unpack(arrays)
        self._downlink.advance(self._model)
        self._planner.begin(server_round, before, self._model)
        self._planned = {}
        picked = self._inner.configure_train(server_round, arrays, config, grid)
        return [self._framed(message) for message in picked]

    def _framed(self, message: Message) -> Message:
        node = message.metadata.dst_node_id
        planned = self._planned[node] = self._planner.blocks_of(node)
        base, frames = self._downlink.bundle_for(node)
        self.traffic.clients += 1
        self.traffic.downlink_bytes += len(frames)
        request = wire.TrainRequest(
            self._run, self.traffic.round, base, self._downlink.version, planned, frames
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
        decoded = [(reply, *found) for reply in replies if (found := self._decode(reply))]
        for failure in self.traffic.failures:
            self._on_failure(failure)
        if self.traffic.clients and len(self.traffic.failures) == self.traffic.clients:
            raise FederationError(
                f"round {self.traffic.round}: none of {self.traffic.clients} clients could train; "
                f"the first said: {self.traffic.failures[0]}"
            )
        steps = complete([(update, reply.samples) for _, reply, update in decoded])
        for (message, reply, _), step in zip(decoded, steps, strict=True):
            moved = {name: self._model[name] + move for name, move in step.items()}
            message.content = wire.pack_average(self._model | moved, reply.samples, reply.loss)
        arrays, metrics = self._inner.aggregate_train(
            server_round, [message for message, _, _ in decoded]
        )
        if arrays is not None:
            # Averaging equal tensors rounds them; what nobody trained keeps its bits.
            trained = {name for step in steps for name in step}
            frozen = {name: self._model[name] for name in self._model if name not in trained}
            arrays = pack(unpack(arrays) | frozen)
        if metrics is not None:
            self.traffic.loss = float(metrics["train-loss"])  # type: ignore[arg-type]
        return arrays, metrics

    def _decode(self, message: Message) -> tuple[wire.TrainReply, Parameters] | None:
        """Return a reply and the update in it; ``None``: it contributes nothing."""
        node = message.metadata.src_node_id
        if message.has_error():
            self.traffic.failures.append(f"node {node}: {message.error.reason}")
            return None
        try:
            reply = wire.unpack_reply(message)
            self.traffic.energy += reply.records
            self.traffic.uplink_bytes += len(reply.frame)
            self._downlink.confirm(node, reply.held)
            self._planner.heard(node, reply)
            if reply.notice:
                self._on_failure(f"node {node}: {reply.notice}")
            if not reply.frame:
                return None
            update = self._update_in(reply.frame, self._planned.get(node, ()))
        except FrameError as error:
            self.traffic.failures.append(f"node {node}: {error}")
            return None
        self.traffic.scores.append((reply.accuracy, reply.scored))
        self.traffic.updates += 1
        return reply, update

    def _update_in(self, data: bytes, planned: tuple[int, ...]) -> Parameters:
        """Decode a client's frame; it must be for this round's version and the planned blocks."""
        frame = decode_frame(data, self._limits)
        if frame.base != self._downlink.version:
            raise FrameError(
                f"its update is to version {frame.base}, this round trains version "
                f"{self._downlink.version}; is it of another run?"
            )
        if tuple(sorted(frame.blocks)) != planned:
            raise FrameError(
                f"its update has blocks {sorted(frame.blocks)}, it was asked for {list(planned)}"
            )
        return frame.named(self._downlink.layout)

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
