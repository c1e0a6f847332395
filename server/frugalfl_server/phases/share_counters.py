"""The sums of all clients' counters, before the first round: asked for, added up, handed back.

Two questions: every client that is there gives its tables, and then gets the sums at its own keys.
A client that gives none, or tables beyond all others', is left out of the sums, and said so; it can
take no part in the run. A key that few clients have is in no sum that is handed back.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from flwr.app import Message
from flwr.serverapp import Grid

from frugalfl import wire
from frugalfl.energy import EnergyRecord, spent
from frugalfl.errors import FederationError, FrameError, FrugalFLError, TaskError
from frugalfl.kinds import Scores
from frugalfl.sizes import size_text
from frugalfl.sums import Table, add_up, at_keys_of, holders, pack_tables, unpack_tables
from frugalfl.text import printable
from frugalfl_server.cohort.identity import Identities
from frugalfl_server.cohort.unfit import TaskFailedError, failure_of
from frugalfl_server.phases.counter_bounds import far_beyond, made_up, overflowing
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.records import HeadRecord, RoundRecord
from frugalfl_server.run.summary import OURS

_log = logging.getLogger(__name__)

#: Flower's message type of both questions.
QUESTION = "query.counters"
#: The row of a run's tables that they are.
PHASE = "counters"
#: What a run keeps of them; no key and no count.
FILE = "counters.json"
_TIMEOUT_S = 3600.0
_LOOK_EVERY_S = 1.0


@dataclass
class Shared:
    """What sharing the counters cost, and who did.

    Attributes:
        started_s: When it began (s, monotonic clock).
        clients: Clients that were asked.
        uplink_bytes: Length of their tables, by node (B).
        downlink_bytes: Length of the sums that they got (B).
        keys: Different keys, by table.
        at_least: Clients that must have a key for its sum to be handed back.
        handed_back: Keys that so many have, by table.
        energy: Energy records of the clients.
        heads: Where their ledgers ended.
        who: Who is who in the run.
    """

    started_s: float = field(default_factory=time.monotonic)
    who: Identities = field(default_factory=Identities)
    clients: int = 0
    uplink_bytes: dict[int, int] = field(default_factory=dict)
    downlink_bytes: int = 0
    keys: dict[str, int] = field(default_factory=dict)
    at_least: int = 1
    handed_back: dict[str, int] = field(default_factory=dict)
    energy: list[EnergyRecord] = field(default_factory=list)
    heads: list[HeadRecord] = field(default_factory=list)
    unfit: list[str] = field(default_factory=list)

    def why_nobody(self, about: str, what: str, complaints: Sequence[str]) -> FrugalFLError:
        """Return what ends a run of which no client gave what was asked for."""
        if len(self.unfit) == self.clients > 0:
            return TaskError(f"{about}: none of {self.clients} clients could: {self.unfit[0]}")
        return FederationError(
            f"{about}: none of {self.clients} clients gave {what}; the first said: "
            f"{next(iter(complaints), 'nothing')}"
        )

    def about(self) -> dict[str, Any]:
        """Return what ``counters.json`` says."""
        return {
            "clients": len(self.uplink_bytes),
            "uplink_bytes": sum(self.uplink_bytes.values()),
            "downlink_bytes": self.downlink_bytes,
            "keys": self.keys,
            "at_least": self.at_least,
            "handed_back": self.handed_back,
            "revealed": "each client's tables of hashed keys, to the server; to each client the "
            f"sums at its own keys that {self.at_least} clients or more have",
        }


def counters_into(
    run: RunDirectory, grid: Grid, fewest: int, before: Scores,
    at_least: int, identities: Identities | None = None,
) -> None:  # fmt: skip
    """Share the counters of a run's clients, unless that was done before it was resumed.

    Args:
        run: Takes a row, energy records, and :data:`FILE`.
        grid: Flower's way to the clients.
        fewest: Clients to wait for.
        before: Scores of the model before the first round, for the row.
        at_least: Clients that must have a key for its sum to be handed back.
        identities: Who is who in the run.

    Raises:
        FederationError: As :func:`share_counters`.
    """
    if any(record.phase == PHASE for record in run.rounds):
        return
    nodes = wait_for(grid, fewest)
    shared = share_counters(grid, run.name, nodes, at_least, identities)
    energy, up = spent(shared.energy), sum(shared.uplink_bytes.values())
    record = RoundRecord(
        federation=OURS, phase=PHASE, round=0, accuracy=before.accuracy, loss=None,
        clients=shared.clients, updates=0, uplink_bytes=up, downlink_bytes=shared.downlink_bytes,
        energy_measured_j=energy.measured_j, energy_estimated_j=energy.estimated_j,
        wall_s=time.monotonic() - shared.started_s, metrics=before.metrics,
    )  # fmt: skip
    run.add_round(record, shared.energy, shared.heads)
    run.write_json(FILE, shared.about())
    run.flush()
    _log.info(
        f"counters: summed over {len(shared.uplink_bytes)} clients"
        f"  up {size_text(up)}  down {size_text(shared.downlink_bytes)}"
    )


def wait_for(grid: Grid, fewest: int) -> list[int]:
    """Return the nodes that are there, once there are as many as are needed."""
    nodes = sorted(grid.get_node_ids())
    if len(nodes) < fewest:
        _log.info(f"waiting for {fewest} clients, {len(nodes)} are there")
    while len(nodes) < fewest:
        time.sleep(_LOOK_EVERY_S)
        nodes = sorted(grid.get_node_ids())
    return nodes


def share_counters(
    grid: Grid, run: str, nodes: Sequence[int], at_least: int,
    identities: Identities | None = None,
) -> Shared:  # fmt: skip
    """Add up the tables of all clients, and hand the sums back.

    Args:
        grid: Flower's way to the clients.
        run: Name of the run.
        nodes: Clients to ask.
        at_least: Clients that must have a key for its sum to be handed back.
        identities: Who is who in the run.

    Raises:
        FederationError: Not one client gave tables that can be added up.
        TaskError: Not one could, each because of its own task.
    """
    shared = Shared(who=identities or Identities())
    shared.clients = len(nodes)
    given: dict[int, dict[str, Table]] = {}
    complaints: list[str] = []
    for node, reply in ask_nodes(grid, run, dict.fromkeys(nodes, b""), shared, complaints):
        try:
            given[node] = unpack_tables(reply.frame)
        except FrameError as error:
            complaints.append(f"node {node}: {error}")
            continue
        shared.uplink_bytes[node] = len(reply.frame)
    total = _added(given, complaints, at_least)
    shared.uplink_bytes = {node: shared.uplink_bytes[node] for node in given}
    for complaint in complaints:
        _log.warning(f"counters: {complaint}")
    if not given:
        raise shared.why_nobody("counters", "tables", complaints)
    shared.keys = {name: len(table.keys) for name, table in total.items()}
    held = holders(given.values())
    shared.at_least = at_least
    shared.handed_back = {name: int((one >= at_least).sum()) for name, one in held.items()}
    if any(shared.keys.values()) and not any(shared.handed_back.values()):
        _log.warning(
            f"counters: no key is one of {at_least} clients (counters-at-least), so that each "
            "keeps its own counts"
        )
    answers = {
        node: pack_tables(at_keys_of(total, tables, held, at_least))
        for node, tables in given.items()
    }
    shared.downlink_bytes = sum(map(len, answers.values()))
    lost: list[str] = []
    for _ in ask_nodes(grid, run, answers, shared, lost):
        pass
    for complaint in lost:
        _log.warning(f"counters: {complaint}")
    return shared


def _added(
    given: dict[int, dict[str, Table]], complaints: list[str], at_least: int
) -> dict[str, Table]:
    """Return the sums of all tables; those that do not go with the others are taken out.

    Right are the periods that most clients have.
    """
    for judge in (_other_periods, overflowing, far_beyond, partial(made_up, at_least=at_least)):
        for node, why in judge(given).items():
            complaints.append(f"node {node}: {why}")
            del given[node]
    return add_up(given[node] for node in sorted(given))


def _other_periods(given: Mapping[int, Mapping[str, Table]]) -> dict[int, str]:
    """Return why clients are left out whose tables have other periods than most, by node."""
    periods: dict[str, Counter[int]] = {}
    for tables in given.values():
        for name, table in tables.items():
            periods.setdefault(name, Counter())[table.counts.shape[1]] += 1
    right = {name: found.most_common(1)[0][0] for name, found in periods.items()}
    return {
        node: f"its table {name!r} has {table.counts.shape[1]} periods, the others' {right[name]}"
        for node, tables in given.items()
        for name, table in tables.items()
        if table.counts.shape[1] != right[name]
    }


def ask_nodes(
    grid: Grid, run: str, frames: Mapping[int, bytes], shared: Shared, complaints: list[str],
    question: str = QUESTION,
) -> Iterator[tuple[int, wire.TrainReply]]:  # fmt: skip
    """Send each node its bytes; yield the sound replies.

    Args:
        grid: Flower's way to the clients.
        run: Name of the run.
        frames: By node, what it is sent.
        shared: Takes energy records, and where ledgers end.
        complaints: Takes one line about every node that gave no sound reply.
        question: Flower's message type.
    """
    messages = [
        Message(
            wire.pack_request(wire.TrainRequest(run, 0, -1, 0, (), data, "")),
            dst_node_id=node, message_type=question, group_id="0",
        )
        for node, data in frames.items()
    ]  # fmt: skip
    silent = set(frames)
    for message in grid.send_and_receive(messages, timeout=_TIMEOUT_S) if messages else ():
        node = message.metadata.src_node_id
        silent.discard(node)
        try:
            if message.has_error():
                raise failure_of(message)
            reply = wire.unpack_reply(message)
            told = shared.who.check(node, reply.records, reply.head, run, 0, shared.started_s)
            complaints += shared.who.bind(told)
        except FrameError as error:
            why = printable(str(error))
            shared.unfit += [why] if isinstance(error, TaskFailedError) else []
            complaints.append(f"node {node}: {why}")
            continue
        shared.heads += told.heads
        shared.energy += told.records
        if reply.notice:
            complaints.append(f"node {node}: {reply.notice}")
        yield node, reply
    complaints += [f"node {node}: no answer" for node in sorted(silent)]
