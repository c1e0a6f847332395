"""An in-process Flower Grid: the same ServerApp and ClientApp, one process, no network.

Messages are real Flower messages and are copied on the way, so that neither end can see what the
other does to them. The clients of a round train one after the other, or as a cohort, if one is
given (:mod:`frugalfl_sim.engine.cohort_answers`).

With the setting ``delays``, or a world (:mod:`frugalfl_sim.world.world`), there is a simulated
clock. A client trains when it is asked, and its reply is there so many simulated seconds later;
waiting for a reply moves the clock, and nothing ever sleeps. So the order of the replies is that of
simulated time, the same in every run.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from flwr.app import Context, Error, Message, RecordDict, UserConfig
from flwr.clientapp import ClientApp
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from frugalfl.answer import why_no_answer
from frugalfl.delays import parse_delays
from frugalfl.energy.device_mix import parse_device_mix
from frugalfl_client.app import app as own_app
from frugalfl_client.device import ContextWithDevice
from frugalfl_sim.engine.copy_message import addressed, copy_message

if TYPE_CHECKING:
    from frugalfl_sim.engine.fleet import Fleet
    from frugalfl_sim.world.world import World

#: Lines of the run, shown with those of the server.
_log = logging.getLogger("frugalfl_server.simulated_fleet")

#: Node ids are free to choose; these look unlike client numbers, so that mix-ups show.
_FIRST_NODE = 1000


class InProcessGrid(Grid):
    """Answers every message by calling the ClientApp.

    A client that raises stops the federation: on one machine it is a mistake to be shown, not a
    device that dropped out.
    """

    def __init__(
        self,
        client_app: ClientApp,
        clients: int,
        config: UserConfig,
        devices: Path,
        run_id: int = 1,
        fleet: Fleet | None = None,
        world: World | None = None,
    ) -> None:
        """Make one Flower context for each client.

        Args:
            client_app: The app that every client runs.
            clients: Number of clients.
            config: The run config that clients see.
            devices: Folder for the devices' own disks, one folder each.
            run_id: Flower's number of the run.
            fleet: What clients have in common; ``None``: each has files of its own in its folder,
                and answers alone.
            world: Says when each answers, and whether it does, in place of ``delays``; ``None``:
                that is not simulated.
        """
        TaskIdentity.run_id, TaskIdentity.task_id = run_id, 1
        TaskIdentity.node_id = SUPERLINK_NODE_ID
        self._client_app = client_app
        self._run = Run.create_empty(run_id)
        self._replies: dict[str, tuple[float, Message]] = {}  # when it is there; in sending order
        self._delays = parse_delays(str(config.get("delays", "")))
        self._world = world
        self._now_s = 0.0
        self._fleet = fleet
        # What a cohort answers is what our own app would answer.
        self._answers = fleet.answers if fleet is not None and client_app is own_app else None
        self._ids = count(1)
        mix = parse_device_mix(str(config.get("device", "generic")))
        make = Context if fleet is None else fleet.context
        self._contexts: Mapping[int, Context] = {
            _FIRST_NODE + number: make(
                run_id=run_id,
                node_id=_FIRST_NODE + number,
                node_config={
                    "partition-id": number,
                    "num-partitions": clients,
                    "state-dir": str(devices / f"client-{number}"),
                    # Whoever simulates has all rows anyway: the same seed gives the same run.
                    "seed": int(config.get("seed", 0)),
                    "smallest-batch": 1,
                    "link": mix.of(number).link or "loopback",
                    "approved": "any",  # server and devices are one
                },
                state=RecordDict(),
                run_config=config,
            )
            for number in range(clients)
        }

    def set_run(self, run: Run) -> None:
        """Set Flower's description of the run."""
        self._run = run

    @property
    def run(self) -> Run:
        """Flower's description of the run."""
        return self._run

    @property
    def client_numbers(self) -> Mapping[int, int]:
        """The number of each node's client."""
        return {node: node - _FIRST_NODE for node in self._contexts}

    @property
    def simulated_s(self) -> float | None:
        """The simulated clock (s); ``None``: neither delays nor a fleet are simulated."""
        return None if self._delays is None and self._world is None else self._now_s

    @property
    def answers_all(self) -> bool:
        """Whether an error comes in place of every answer that is lost, as in a world."""
        return self._world is not None

    def go_on_from(self, now_s: float) -> None:
        """Set the simulated clock (s): a resumed run goes on at its hour."""
        self._now_s = now_s

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Make a message to a node."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Return the nodes of all clients; of a world, of those that are there.

        If these are too few for a round, the clock goes on to the next hour when there are enough.
        """
        if self._world is None:
            return list(self._contexts)
        before_s = self._now_s
        self._now_s, there = self._world.await_some(before_s)
        if self._now_s > before_s:
            _log.info(
                "too few devices of the fleet are there: the clock goes on from "
                f"{self._world.clock_text(before_s)} to {self._world.clock_text(self._now_s)}"
            )
        return [_FIRST_NODE + number for number in there]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Let each addressed client answer, and keep the replies in the order of the messages."""
        asked = [addressed(message, self._next_id()) for message in messages]
        lost = self._lost(asked)
        cohort = self._cohort([one for one in asked if one.metadata.message_id not in lost])
        for message in asked:
            if message.metadata.message_id in lost:
                when_s, error = lost[message.metadata.message_id]
                self._answered(message, error)
                self._keep(message, when_s, error)
                continue
            self._deliver(message, cohort.get(message.metadata.message_id))
        if self._fleet is not None:
            self._fleet.flush()
        return [message.metadata.message_id for message in asked]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Hand over the replies to these messages that are there, in the order of their coming.

        Where none is there yet, that is waiting: the clock moves to the first one.
        """
        due = {sent: self._replies[sent][0] for sent in message_ids if sent in self._replies}
        if due:
            self._now_s = max(self._now_s, min(due.values()))
        ready = [sent for sent in self._replies if due.get(sent, math.inf) <= self._now_s]
        return [self._replies.pop(sent)[1] for sent in sorted(ready, key=due.__getitem__)]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Send, wait for the slowest client, and return the replies in the order of sending."""
        sent = list(self.push_messages(messages))
        self._now_s = max([self._now_s, *(self._replies[one][0] for one in sent)])
        return [self._replies.pop(one)[1] for one in sent]

    def _lost(self, asked: Sequence[Message]) -> dict[str, tuple[float, Message]]:
        """Return what stands for the answers of devices that never begin, by the question's id."""
        world = self._world
        if world is None:
            return {}
        found = {}
        for message in asked:
            node = message.metadata.dst_node_id
            known = node in self._contexts
            lost = world.lost(node - _FIRST_NODE, message, self._now_s) if known else None
            if lost is not None:
                found[message.metadata.message_id] = lost
        return found

    def _cohort(self, asked: Sequence[Message]) -> dict[str, Message]:
        """Return the replies of those that can answer together, by the id of what they answer."""
        answers = self._answers
        if answers is None:
            return {}
        together = []
        asked_before = set[int]()
        for message in asked:
            node = message.metadata.dst_node_id
            context = self._contexts.get(node)
            if (
                isinstance(context, ContextWithDevice)
                and node not in asked_before  # what it is asked next builds on this
                and answers.takes(message, context)
            ):
                together.append((message, context))
            asked_before.add(node)
        replies = answers.answer(together) if together else []
        return {
            message.metadata.message_id: reply
            for (message, _), reply in zip(together, replies, strict=True)
        }

    def _deliver(self, message: Message, reply: Message | None) -> None:
        """Keep the reply to a message; ``None``: its client answers now, alone."""
        context = self._contexts.get(message.metadata.dst_node_id)
        if context is None:
            reason = f"no node {message.metadata.dst_node_id}"
            reply = Message(Error(ErrorCode.NODE_UNAVAILABLE, reason), reply_to=message)
        elif reply is None:
            reply = self._client_app(copy_message(message), context)
            if wrong := why_no_answer(reply, message):
                reply = Message(
                    Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, wrong), reply_to=message
                )
            reply = copy_message(reply)
        when_s, seen = self._seen(message, reply, context)
        if context is not None:
            self._answered(message, seen)
        self._keep(message, when_s, seen)

    def _keep(self, message: Message, when_s: float, reply: Message) -> None:
        """Keep a reply until the clock is there (s)."""
        reply.metadata.__dict__["_message_id"] = self._next_id()
        self._replies[message.metadata.message_id] = (when_s, reply)

    def _seen(
        self, message: Message, reply: Message, context: Context | None
    ) -> tuple[float, Message]:
        """Return when a server sees what of a client's reply (s)."""
        if self._world is None or context is None:
            return self._now_s + self._delay_of(context), reply
        number = int(context.node_config["partition-id"])
        return self._world.answered(number, message, reply, self._now_s)

    def _next_id(self) -> str:
        """Return an id of a message, which Flower's own storage would give; there is none here."""
        return f"{next(self._ids):032x}"

    def _delay_of(self, context: Context | None) -> float:
        if self._delays is None or context is None:
            return 0.0
        return self._delays.of(int(context.node_config["partition-id"]))

    def _answered(self, message: Message, reply: Message) -> None:
        """Called with every exchange; a subclass may count."""


def server_context(run_config: UserConfig, node_config: UserConfig) -> Context:
    """Return the context of a ServerApp's run on this grid."""
    return Context(1, SUPERLINK_NODE_ID, node_config, RecordDict(), run_config)
