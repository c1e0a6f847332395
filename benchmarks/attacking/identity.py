"""Who is who, and what an owner decides: nodes that claim to be others, servers that ask too much.

Each attack is a federation of digits on one machine in which one client, or the server, does not
keep to its part: the clients' real app, the server's real rounds, ledgers and checks.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from flwr.app import Context, Error, Message

from attacking.outcome import Outcome
from frugalfl import wire
from frugalfl.blocks import Parameters
from frugalfl.energy import Head
from frugalfl.energy.verify_ledgers import verify_ledger
from frugalfl.settings import Settings
from frugalfl.task import load_task
from frugalfl_client.app import app as client_app
from frugalfl_client.device import forget_devices
from frugalfl_server.phases.federation import Federation
from frugalfl_server.phases.train import train
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.progress import LOG
from frugalfl_sim.apps import importable, quiet_flower
from frugalfl_sim.engine.grid import InProcessGrid

DIGITS = Path(__file__).parents[2] / "simulations" / "digits"
CLIENTS = 5
#: What this grid calls the node of client 0.
FIRST_NODE = 1000
SETTINGS = Settings.of(
    clients=CLIENTS, clients_per_round=CLIENTS, rounds=2, local_epochs=1, prune=0, recover_rounds=0,
    uplink="float16 | zstd", downlink="zstd",
)  # fmt: skip

App = Callable[[Message, Context], Message]
#: From a true reply and its round to what is sent instead.
Lie = Callable[[wire.TrainReply, int], wire.TrainReply]


@dataclass
class Held:
    """A federation that was held, and what its operator read.

    Attributes:
        run: Its directory.
        lines: All lines of its log.
        model: Its model at the end.
    """

    run: RunDirectory
    lines: list[str]
    model: Parameters

    def line(self, *words: str) -> str:
        """Return the first line that has all these words; empty: none has."""
        found = (line for line in self.lines if all(word in line for word in words))
        return next(found, "")

    @property
    def updates(self) -> list[int]:
        """How many updates each round was made of."""
        return [record.updates for record in self.run.rounds]

    def faults(self, client: int) -> list[str]:
        """Return what verifying a client's own ledger against this run finds."""
        return verify_ledger(self.ledger(client), self.run.path).faults

    def ledger(self, client: int) -> Path:
        """Return a client's ledger."""
        return self.run.path / "devices" / f"client-{client}" / "ledger.sqlite"


def hold(folder: Path, app: App = client_app, **changes: Any) -> Held:
    """Hold a federation of digits under a folder."""
    settings = SETTINGS.changed(**changes)
    torch.set_num_threads(1)  # tensors too small to share between threads
    with importable(DIGITS), quiet_flower(), np.errstate(all="ignore"):
        task = load_task(settings.run.task)
        run = RunDirectory.create(folder, "digits", settings, DIGITS)
        grid = InProcessGrid(app, CLIENTS, settings.as_config(), run.path / "devices")
        try:
            train(Federation(grid, settings, task, run, quiet=True))
        finally:
            run.flush()
            forget_devices()
    return Held(run, (run.path / LOG).read_text().splitlines(), run.load_checkpoint())


def lying(lie: Lie, node: int | None = None, round_: int = 1) -> App:
    """Return a client app that lies from a round on, at one node; ``None``: the first one asked."""
    liar = [] if node is None else [node]

    def app(message: Message, context: Context) -> Message:
        reply = client_app(message, context)
        if not liar:
            liar.append(context.node_id)
        if context.node_id != liar[0] or reply.has_error() or _round(message) < round_:
            return reply
        told = lie(wire.unpack_reply(reply), _round(message))
        return Message(wire.pack_reply(told), reply_to=message)

    return app


def configured(config: dict[str, Any], node: int, round_: int = 1, comes_in: int = 1) -> App:
    """Return a client app whose node config at one node has other keys, from a round on.

    Args:
        config: These keys.
        node: The node.
        round_: The round.
        comes_in: Round before which this node gives no answer.
    """

    def app(message: Message, context: Context) -> Message:
        if context.node_id == node and _round(message) < comes_in:
            return Message(Error(0, "not here yet"), reply_to=message)
        if context.node_id == node and _round(message) >= round_:
            context = Context(
                run_id=context.run_id, node_id=node, node_config=context.node_config | config,
                state=context.state, run_config=context.run_config,
            )  # fmt: skip
        return client_app(message, context)

    return app


def _round(message: Message) -> int:
    return int(message.content["config"]["round"])  # type: ignore[index,arg-type]


def of_client(number: str) -> Lie:
    """Lie about the client's number, with a ledger that nobody has."""

    def lie(reply: wire.TrainReply, round_: int) -> wire.TrainReply:
        records = tuple(replace(record, client=number) for record in reply.records)
        head = Head(len(records) * round_, os.urandom(32), os.urandom(16), os.urandom(16))
        return replace(reply, records=records, head=head)

    return lie


def more_rows(rows: int) -> Lie:
    """Lie about how many rows there are."""
    return lambda reply, _: replace(reply, samples=rows)


def more_joules(joules: float) -> Lie:
    """Lie about what training took."""

    def lie(reply: wire.TrainReply, _: int) -> wire.TrainReply:
        records = [
            replace(one, readings=tuple(replace(r, energy_j=joules) for r in one.readings))
            for one in reply.records
        ]
        return replace(reply, records=tuple(records))

    return lie


def forged_row(held: Held, client: int) -> None:
    """Add a head to a run's file that a client never told, as who keeps the file can."""
    path = held.run.path / "heads.parquet"
    rows = pq.read_table(path).to_pylist()
    own = next(row for row in rows if row["client"] == str(client))
    forged = own | {"number": own["number"] - 1, "hash": os.urandom(32).hex()}
    bare = forged | {"node": "", "ledger": "", "proof": ""}
    pq.write_table(pa.Table.from_pylist([forged, bare, *rows]), path)


def same(left: Parameters, right: Parameters) -> bool:
    """Say whether two models have the same bits."""
    return all(left[name].tobytes() == right[name].tobytes() for name in left)


def attacks(folder: Path, quick: bool) -> Iterator[Outcome]:
    """Try them all."""
    honest = hold(folder / "honest")
    yield from claims(folder)
    yield from heads(folder, honest)
    yield from rows(folder, quick)
    yield from amounts(folder)
    yield from overridden(folder, quick)
    yield misspelled(folder)


def claims(folder: Path) -> Iterator[Outcome]:
    """Nodes that say they are other clients."""
    last = FIRST_NODE + CLIENTS - 1
    second = {"partition-id": 1, "state-dir": str(folder / "another")}
    held = hold(folder / "twice", configured(second, last, comes_in=2))
    line = held.line(f"{last}", "client 1", f"node {FIRST_NODE + 1} is since round 1")
    alone = held.updates == [CLIENTS - 1] * 2 and held.faults(1) == []
    yield Outcome("a number claimed by a second node", bool(line) and alone, line, alone)

    held = hold(folder / "changed", configured({"partition-id": 7, "num-partitions": 9}, last, 2))
    line = held.line(f"{last}", "client 7", f"client {CLIENTS - 1} since round 1")
    alone = held.updates == [CLIENTS, CLIENTS - 1]
    yield Outcome("a node that changes its number", bool(line) and alone, line, alone)


def heads(folder: Path, honest: Held) -> Iterator[Outcome]:
    """Heads that were never told, or by another device."""
    last = FIRST_NODE + CLIENTS - 1
    held = hold(folder / "forged", lying(of_client("1"), last, 2))
    line = held.line(f"{last}", "client 1")
    clean = held.faults(1) == [] and held.updates == [CLIENTS, CLIENTS - 1]
    yield Outcome("a forged head in another client's name", bool(line) and clean, line, clean)

    stolen: list[Head] = []

    def replay(message: Message, context: Context) -> Message:
        reply = client_app(message, context)
        told = wire.unpack_reply(reply)
        if context.node_id == FIRST_NODE + 1 and told.head is not None:
            stolen.append(told.head)
        if context.node_id != last or _round(message) == 1:
            return reply
        return Message(wire.pack_reply(replace(told, head=stolen[-1])), reply_to=message)

    held = hold(folder / "replayed", replay)
    line = held.line(f"{last}", "the energy ledger of client 1")
    clean = held.faults(1) == [] and held.updates == [CLIENTS, CLIENTS - 1]
    yield Outcome("the head of another device, replayed", bool(line) and clean, line, clean)

    forged_row(honest, 1)
    found = verify_ledger(honest.ledger(1), honest.run.path)
    note = next(iter(found.notes), "")
    yield Outcome("a head made up in the run's own file", found.faults == [] and bool(note), note)


def rows(folder: Path, quick: bool) -> Iterator[Outcome]:
    """Rows that nobody has, told by who answers first in the first round."""
    ways = {
        "": {},
        ", without a norm bound": {"norm_bound": 0.0},
        ", to a strategy that sees each client": {"strategy": "fedprox(0.1)"},
        ", without rounds": {"asynchronous": f"buffered({CLIENTS})", "norm_bound": 0.0},
    }
    for name, changes in list(ways.items())[: 2 if quick else 4]:
        place = folder / f"rows{len(name)}"
        held = hold(place / "lie", lying(more_rows(1 << 31)), **changes)
        line = held.line("count as")
        most = int(line.split("count as ")[-1].split()[0]) if line else 0
        bound = hold(place / "most", lying(more_rows(most)), **changes) if line else held
        refused = bool(line) and same(held.model, bound.model)
        yield Outcome(
            f"2^31 rows claimed first{name}", refused, line, held.updates == [CLIENTS] * 2
        )


def amounts(folder: Path) -> Iterator[Outcome]:
    """Joules that no device uses, where joules end a run."""
    for joules in (1e14, 1e6):
        app = lying(more_joules(joules))
        held = hold(folder / f"joules{joules:g}", app, stop_joules=50_000.0)
        line = held.line("no device uses")
        on = len(held.updates) == 2
        yield Outcome(f"{joules:g} J claimed, to end the run", bool(line) and on, line, on)


#: What an owner writes, what the server wants, and a word of the line about it.
OVERRIDDEN: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "task": ({"task": "mine:task"}, {}, "takes no part"),
    "private": ({"private": "8"}, {}, "takes no part"),
    "counters": ({"counters": "own"}, {"counters": "shared"}, "takes no part"),
    "evaluate-rows": ({"evaluate-rows": 0}, {"evaluate_rows": 8}, "at most"),
    "local-epochs": ({"local-epochs": 1}, {"local_epochs": 3}, "at most"),
    "energy-budget": ({"energy-budget": 1e-6}, {}, "it has used"),
    "energy-a-day": ({"energy-a-day": 1e-6}, {}, "it has used"),
}


def overridden(folder: Path, quick: bool) -> Iterator[Outcome]:
    """Servers that ask one device for more than its owner allows."""
    for key, (config, wanted, word) in OVERRIDDEN.items():
        if key == "counters":
            continue  # digits has none; the tests' small task has
        last = FIRST_NODE + CLIENTS - 1
        held = hold(folder / key, configured(config, last), **wanted)
        line = held.line(f"{last}", key, word)
        part = {"takes no part": [4, 4], "at most": [5, 5], "it has used": [5, 4]}[word]
        yield Outcome(f"an owner's {key} overridden", bool(line), line, held.updates == part)


def misspelled(folder: Path) -> Outcome:
    """Start a node whose owner wrote a key that there is not."""
    config = "partition-id=0 num-partitions=2 local-epoch=1"
    ended = subprocess.run(
        [Path(sys.executable).with_name("frugalfl"), "node", "--superlink", "127.0.0.1:9",
         "--insecure", "--state-dir", str(folder / "device"), "--node-config", config],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    line = ended.stderr.strip()
    return Outcome(
        "a key of an owner's that is misspelled",
        "local-epochs" in line and ended.returncode == 2,
        line,
    )
