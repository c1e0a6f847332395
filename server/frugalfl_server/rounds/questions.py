"""What each client of a round is asked: its blocks, the frames that it lacks, and a program."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from flwr.app import Message, RecordDict

from frugalfl import wire
from frugalfl.codec import CodedFrame
from frugalfl.errors import FrameError, UsageError
from frugalfl.form import Form
from frugalfl_server.cohort.energy_limits import EnergyLimits
from frugalfl_server.cohort.refresh_planner import Planner
from frugalfl_server.cohort.training_programs import Sent, TrainingPrograms
from frugalfl_server.exchange.flower import KEY_CLIPPING_NORM
from frugalfl_server.rounds.traffic import Traffic
from frugalfl_server.rounds.way_down import WayDown

#: An answer that is later than this (rounds) is of no use any more.
_MOST_LATE = 4


@dataclass(frozen=True)
class Asked:
    """What a client was asked for in a round: to which version, which blocks, and when (s).

    With ``sent_b``, the length of what it was sent (B).
    """

    version: int
    blocks: tuple[int, ...]
    at_s: float
    sent_b: int = 0

    def check(self, frame: CodedFrame) -> None:
        """Refuse an update to another version, or of other blocks than were planned.

        Raises:
            FrameError: So it is.
        """
        if frame.base != self.version:
            raise FrameError(
                f"its update is to version {frame.base}, this round trains version "
                f"{self.version}; is it of another run?"
            )
        if tuple(sorted(frame.shapes)) != self.blocks:
            raise FrameError(
                f"its update has blocks {sorted(frame.shapes)}, it was asked for "
                f"{list(self.blocks)}"
            )


@dataclass
class Questions:
    """Makes the questions of a phase, and remembers what they were.

    Attributes:
        run: Name of the run.
        downlink: Knows which frames each client lacks.
        planner: Knows which blocks each client trains.
        limits: Knows for how many epochs each has energy; ``None``: for all.
        programs: Has training programs for clients without PyTorch; ``None``: there are none such.
        resumed: Rounds with which the run was begun again.
        form: Of every client's rows.
        learning_rate: Step size that they name; 0: none, for clients know it themselves.
    """

    run: str
    downlink: WayDown
    planner: Planner
    limits: EnergyLimits | None = None
    programs: TrainingPrograms | None = None
    resumed: tuple[int, ...] = ()
    form: Form | None = None
    learning_rate: float = 0.0

    def __post_init__(self) -> None:
        self._asked: dict[tuple[int, int], Asked] = {}
        #: Contents of the newest round's questions: most clients are asked the same.
        self._packed: dict[wire.TrainRequest, RecordDict] = {}
        #: What was read last: a strategy's messages share their content.
        self._wishes: tuple[RecordDict, float] | None = None

    def answered_by(self, reply: Message) -> tuple[int, Asked]:
        """Return the round that a reply belongs to, and what its node was asked in it.

        Raises:
            FrameError: Its node was not asked in that round, or too long ago.
        """
        group = reply.metadata.group_id
        number = int(group) if group.isdecimal() and len(group) < 12 else -1
        asked = self._asked.get((reply.metadata.src_node_id, number))
        if asked is None:
            raise FrameError(f"its answer belongs to round {group[:20]}, in which it was not asked")
        return number, asked

    def forget_before(self, number: int) -> None:
        """Forget rounds that are too old for an answer in this one."""
        self._packed, self._wishes = {}, None
        oldest = number - _MOST_LATE
        self._asked = {key: one for key, one in self._asked.items() if key[1] >= oldest}

    def forget_nodes(self, nodes: list[int]) -> None:
        """Forget all that these nodes were asked: who starts anew has answered."""
        self._asked = {key: one for key, one in self._asked.items() if key[0] not in nodes}

    def frame(
        self, message: Message, bundle: tuple[int, bytes], uplink: str, traffic: Traffic
    ) -> Message:
        """Turn a strategy's message to a node into the question that this node gets.

        Args:
            message: From Flower's strategy.
            bundle: The version that the node holds, and the frames from there to the newest one.
            uplink: Codec chain of this round's updates.
            traffic: Counts the bytes.

        Raises:
            ExportError: No training program can be compiled for the node.
            UsageError: The strategy wants its clients to clip updates.
        """
        node = message.metadata.dst_node_id
        planned = self.planner.blocks_of(node)
        version = self.downlink.version
        asked_s = time.monotonic()
        base, frames = bundle
        mu = self._mu_in(message.content)
        traffic.clients += 1
        program, file = Sent()
        if self.programs is not None:
            names = self.downlink.trained(planned)
            program, file = self.programs.for_training(
                node, names, mu > 0, self.downlink.coordinates
            )
        sent_b = len(frames) + len(file)
        self._asked[node, traffic.round] = Asked(version, planned, asked_s, sent_b)
        traffic.downlink_bytes += sent_b
        traffic.program_bytes += len(file)
        request = wire.TrainRequest(
            self.run, traffic.round, base, version, planned, frames, uplink, mu,
            0 if self.limits is None else self.limits.epochs_of(node), program, file,
            self.resumed, form=self.form, learning_rate=self.learning_rate,
        )  # fmt: skip
        return Message(
            self._content_of(request),
            dst_node_id=node,
            message_type=message.metadata.message_type,
            ttl=message.metadata.ttl,
            group_id=str(traffic.round),
        )

    def _mu_in(self, content: RecordDict) -> float:
        """Return what the strategy wants of the client's loss."""
        if self._wishes is None or self._wishes[0] is not content:
            self._wishes = content, _proximal_mu(content)
        return self._wishes[1]

    def _content_of(self, request: wire.TrainRequest) -> RecordDict:
        """Return what a question holds, the same object for all that are asked the same.

        As with Flower's own strategies, messages share it and nobody changes it.
        """
        content = self._packed.get(request)
        if content is None:
            content = self._packed[request] = wire.pack_request(request)
        return content


def readdress(message: Message, node: int) -> Message:
    """Return a strategy's message, addressed to another node."""
    about = message.metadata
    return Message(message.content, node, about.message_type, ttl=about.ttl)


def _proximal_mu(content: RecordDict) -> float:
    """Return what the strategy wants of the client's loss.

    Raises:
        UsageError: It wants the client to clip its update.
    """
    wishes: dict[str, Any] = {}
    for config in content.config_records.values():
        wishes |= config
    if KEY_CLIPPING_NORM in wishes:
        raise UsageError(
            "this strategy has the client clip its update, but a codec comes after that and may "
            "lengthen it again; use the wrapper that clips on the server"
        )
    return float(wishes.get(wire.PROXIMAL_MU, 0.0))
