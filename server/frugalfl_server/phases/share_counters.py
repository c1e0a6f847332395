"""The sums of all clients' counters, before the first round: asked for, added up, handed back.

Two questions: every client that is there gives its tables, and then gets the sums at its own keys.
A client that gives none, or tables beyond all others', is left out of the sums, and said so; it can
take no part in the run. A key that few clients have is in no sum that is handed back.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from flwr.app import RecordDict
from flwr.serverapp import Grid

from frugalfl import wire
from frugalfl.errors import FrameError
from frugalfl.kinds import Scores
from frugalfl.sizes import size_text
from frugalfl.sums import Table, add_up, at_keys_of, holders, pack_tables, unpack_tables
from frugalfl_server.cohort.identity import Identities
from frugalfl_server.exchange.ask import Question, ask, refuse
from frugalfl_server.exchange.cost import Cost
from frugalfl_server.phases.counter_bounds import far_beyond, made_up, overflowing
from frugalfl_server.run.directory import RunDirectory

_log = logging.getLogger(__name__)
#: The row of a run's tables that they are.
PHASE = "counters"
#: What a run keeps of them; no key and no count.
FILE = "counters.json"
_LOOK_EVERY_S = 1.0


@dataclass
class Shared:
    """What sharing the counters cost, and who did.

    Attributes:
        cost: Bytes, joules, and who failed.
        clients: Clients whose tables are in the sums.
        keys: Different keys, by table.
        at_least: Clients that must have a key for its sum to be handed back.
        handed_back: Keys that so many have, by table.
    """

    cost: Cost
    clients: int = 0
    keys: dict[str, int] = field(default_factory=dict)
    at_least: int = 1
    handed_back: dict[str, int] = field(default_factory=dict)

    def about(self) -> dict[str, Any]:
        """Return what ``counters.json`` says."""
        return {
            "clients": self.clients,
            "uplink_bytes": self.cost.uplink_bytes,
            "downlink_bytes": self.cost.downlink_bytes,
            "keys": self.keys,
            "at_least": self.at_least,
            "handed_back": self.handed_back,
            "revealed": "each client's tables of hashed keys, to the server; to each client the "
            f"sums at its own keys that {self.at_least} clients or more have",
        }


def counters_into(
    run: RunDirectory, grid: Grid, fewest: int, before: Scores, at_least: int,
    identities: Identities | None = None,
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
    record = shared.cost.record(PHASE, before)
    run.add_round(record, shared.cost.energy, shared.cost.heads)
    run.write_json(FILE, shared.about())
    run.flush()
    _log.info(
        f"counters: summed over {shared.clients} clients"
        f"  up {size_text(record.uplink_bytes)}  down {size_text(record.downlink_bytes)}"
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
    grid: Grid, run: str, nodes: Sequence[int], at_least: int, identities: Identities | None = None
) -> Shared:
    """Add up the tables of all clients, and hand the sums back; name who is left out.

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
    cost = Cost(0, clients=len(nodes))
    question = Question(
        run, 0, wire.COUNTERS, wire.unpack_counters_reply, identities or Identities(), "counters: "
    )
    given = _tables_of(grid, question, nodes, cost)
    total = _added(given, cost, at_least)
    _name_failures(cost)
    if not given:
        raise cost.why_nobody("counters", "tables")
    shared = _shared(cost, given, total, at_least)
    cost.failures = []
    answers = (
        (node, pack_tables(at_keys_of(total, tables, holders(given.values()), at_least)))
        for node, tables in given.items()
    )
    requests = ((node, _request(run, sums)) for node, sums in answers)
    for _ in ask(grid, question, requests, cost):
        pass
    _name_failures(cost)
    return shared


def _request(run: str, sums: bytes = b"") -> RecordDict:
    return wire.pack_counters_request(wire.CountersRequest(run, sums))


def _tables_of(
    grid: Grid, question: Question[wire.CountersReply], nodes: Sequence[int], cost: Cost
) -> dict[int, dict[str, Table]]:
    """Ask for tables; return those that can be read, by node."""
    given: dict[int, dict[str, Table]] = {}
    requests = ((node, _request(question.run)) for node in nodes)
    for answer in ask(grid, question, requests, cost):
        try:
            given[answer.node] = unpack_tables(answer.reply.tables)
        except FrameError as error:
            refuse(answer, question, cost)
            cost.fail(answer.node, error)
    return given


def _shared(
    cost: Cost, given: Mapping[int, Mapping[str, Table]], total: Mapping[str, Table], at_least: int
) -> Shared:
    """Return what is known of the sums; warn if none is handed back."""
    keys = {name: len(table.keys) for name, table in total.items()}
    held = holders(given.values())
    handed_back = {name: int((one >= at_least).sum()) for name, one in held.items()}
    if any(keys.values()) and not any(handed_back.values()):
        _log.warning(
            f"counters: no key is one of {at_least} clients (counters-at-least), so that each "
            "keeps its own counts"
        )
    return Shared(cost, len(given), keys, at_least, handed_back)


def _name_failures(cost: Cost) -> None:
    for failure in cost.failures:
        _log.warning(f"counters: {failure}")


def _added(given: dict[int, dict[str, Table]], cost: Cost, at_least: int) -> dict[str, Table]:
    """Return the sums of all tables; those that do not go with the others are taken out.

    Right are the periods that most clients have.
    """
    for judge in (_other_periods, overflowing, far_beyond, partial(made_up, at_least=at_least)):
        for node, why in judge(given).items():
            cost.fail(node, FrameError(why))
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
