"""What a node costs, and what it survives: memory, idle traffic, a no-op round trip, bytes, faults.

    python benchmarks/fleet.py [--quick] [--json FILE]

Flower's own node is beside it; faults.py has the last table. Real processes on this machine:
Flower's SuperLink, `frugalfl node`, and the stock `flower-supernode`, each behind a TCP proxy that
counts every byte of its connections (TCP and IP headers are not in it). Rounds are of
simulations/digits, a CNN of 38,282 parameters, trained by LiteRT on both nodes in the same run.
They are counted from the third on, alike for both nodes: the first brings the app and the whole
model, and the second begins with the one pause of a run that `frugalfl node` cannot foresee; what
that costs is a row of its own. Rounds run without TLS, where the proxy can tell payload (bodies of
messages and of their objects) from polling (questions that found nothing, heartbeats) and the rest
(headers, confirmations), and again with TLS and registered keys for the total. So much is the
node's share alone, on the same app; the last of these rows has Flower's own app (FedAvg, float32
arrays of the same CNN) on Flower's own node beside the lean node's round. Idle traffic is with TLS
and registered keys; `frugalfl node` asks 12 times as often as it does by default, and a 12th of its
bytes is counted, so that a minute and a half is enough. The second table has a node's request
through the front of `frugalfl serve` beside the same one without it (fleet_front.py).
"""

from __future__ import annotations

import importlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import faults
import fleet_front
from common import arguments, finish
from machines import Machines, Process
from rich.console import Console
from rich.table import Table
from tcp_proxy import TcpProxy, Traffic

from frugalfl.idle import IDLE_S
from frugalfl.modules import read_parameters

ROOT = Path(__file__).parent
DIGITS = ROOT.parent / "simulations" / "digits"
FEDAVG = ROOT / "fedavg"
DAY_S = 86400
#: With which longest wait between two questions idle traffic is measured (s); each of them needs a
#: new connection, as with the default, since a SuperLink closes one after 5 s of silence.
MEASURED_IDLE_S = 6.0
LEAN, STOCK = "frugalfl node", "flower-supernode"
A_THIRD = "share <= 0.33"
#: The last round that is not counted.
BEFORE = 2


@dataclass(frozen=True)
class Row:
    """One figure of both nodes; ``goal`` is what ours is meant to be."""

    figure: str
    unit: str
    lean: float
    stock: float
    goal: str = ""


@contextmanager
def machines(tls: bool) -> Iterator[Machines]:
    """A SuperLink that runs."""
    with tempfile.TemporaryDirectory() as folder:
        started = Machines(folder, tls=tls)
        try:
            started.superlink()
            yield started
        finally:
            started.stop()


@dataclass
class Node:
    """A node, and the proxy in front of it."""

    process: Process
    proxy: TcpProxy

    @property
    def megabytes(self) -> float:
        """Resident memory of its processes together (MB)."""
        return sum(_resident(pid) for pid in _family(self.process.pid)) / 1000


def start(links: Machines, kind: str, number: int, of: int, *more: str) -> Node:
    """Start a node behind a proxy, and wait until it is online."""
    proxy = TcpProxy(links.port)
    key = links.register(f"node{number}") if links.tls else None
    if kind == LEAN:
        process = links.lean(
            number, of, key, *more, superlink=proxy.address, config="trainer='litert'"
        )
        process.wait_for("connected as node")
    else:
        process = links.stock(number, of, key, superlink=proxy.address, config="trainer='litert'")
        process.wait_for("SuperNode ID")
    return Node(process, proxy)


def idle(quick: bool) -> list[Row]:
    """Memory and traffic of nodes that wait."""
    settle, measure = (25.0, 30.0) if quick else (35.0, 90.0)
    with machines(tls=True) as links:
        lean = start(links, LEAN, 0, 2, "--idle-poll", str(MEASURED_IDLE_S))
        stock = start(links, STOCK, 1, 2)
        time.sleep(settle)  # what is measured is that nothing happens
        begin = time.monotonic()
        time.sleep(measure)
        end = time.monotonic()
        a_day = DAY_S / measure / 1e6
        return [
            Row("memory, idle", "MB", lean.megabytes, stock.megabytes, "<= 100"),
            Row(
                "traffic, idle", "MB/day",
                lean.proxy.between(begin, end).total * a_day * MEASURED_IDLE_S / IDLE_S,
                stock.proxy.between(begin, end).total * a_day, "<= 3",
            ),
        ]  # fmt: skip


def no_op(quick: bool) -> list[Row]:
    """Time between a server's question and a node's empty answer."""
    seconds = {}
    for kind, rounds in ((LEAN, 8 if quick else 30), (STOCK, 3 if quick else 8)):
        with machines(tls=False) as links:
            start(links, kind, 0, 1)
            run = links.run(ROOT / "echo", rounds=rounds)
            lines = [run.wait_for(rf"echo {number}: ", 120) for number in range(2, rounds + 1)]
            seconds[kind] = statistics.median(float(line.split()[2]) for line in lines)
    return [Row("no-op round trip, median", "s", seconds[LEAN], seconds[STOCK], "< 0.5")]


def rounds(quick: bool) -> list[Row]:
    """Memory after rounds, and bytes of a round."""
    count = 3 if quick else 8
    plain = _federation(count, tls=False)
    secure = _federation(count, tls=True)
    beside = {LEAN: plain.later[LEAN], STOCK: _flowers_own(count)}

    def row(
        figure: str, of: Callable[[Traffic], float], among: dict[str, Traffic], unit: str = "B",
        goal: str = "", rounds: int = count,
    ) -> Row:  # fmt: skip
        each = {kind: of(traffic) / rounds for kind, traffic in among.items()}
        return Row(figure, unit, each[LEAN], each[STOCK], goal)

    def total(traffic: Traffic) -> float:
        return traffic.total

    return [
        Row("memory, after rounds", "MB", plain.memory[LEAN], plain.memory[STOCK]),
        row("a round: requests", lambda traffic: traffic.posts, plain.later, "POSTs"),
        row("a round: payload", lambda traffic: traffic.payload, plain.later),
        row("a round: headers and the rest", lambda traffic: traffic.rest, plain.later),
        row("a round: polling", lambda traffic: traffic.polling, plain.later),
        row("a round: up, all", lambda traffic: traffic.up, plain.later),
        row("a round: down, all", lambda traffic: traffic.down, plain.later),
        row("a round: all, no TLS", total, plain.later, goal=A_THIRD),
        row("a round: all, TLS and registered keys", total, secure.later, goal=A_THIRD),
        row("the second round: all, no TLS", total, plain.second, rounds=1),
        row("the second round: all, TLS and registered keys", total, secure.second, rounds=1),
        row(
            "a round: all, no TLS; beside Flower's own app (FedAvg, float32) on its node",
            total, beside,
        ),
    ]  # fmt: skip


@dataclass
class Passed:
    """What passed by node, in round 2 and in those after it, and memory in the end (MB)."""

    second: dict[str, Traffic]
    later: dict[str, Traffic]
    memory: dict[str, float]


def _federation(count: int, tls: bool) -> Passed:
    """Run digits on one node of each kind, so many rounds of which are counted."""
    with machines(tls) as links:
        nodes = {LEAN: start(links, LEAN, 0, 2), STOCK: start(links, STOCK, 1, 2)}
        last = BEFORE + count
        run = links.run(
            DIGITS, rounds=last, clients=2, clients_per_round=2, prune=0, local_epochs=1,
            trainer="'litert'",
        )  # fmt: skip
        ends = []
        for number in (BEFORE - 1, BEFORE, last):
            run.wait_for(rf"train +{number}/{last}", 400)
            ends.append(time.monotonic())

        def between(begin: float, end: float) -> dict[str, Traffic]:
            return {kind: node.proxy.between(begin, end) for kind, node in nodes.items()}

        megabytes = {kind: node.megabytes for kind, node in nodes.items()}
        return Passed(between(*ends[:2]), between(*ends[1:]), megabytes)


def _flowers_own(count: int) -> Traffic:
    """Run Flower's FedAvg on one node of Flower's; return what passed in the rounds counted."""
    first, beyond = BEFORE + 1, BEFORE + count + 1
    with machines(tls=False) as links:
        node = start(links, STOCK, 0, 1)
        run = links.run(FEDAVG, rounds=beyond, shapes=f"'{_shapes_of_the_digits()}'")
        run.wait_for(rf"ROUND {first}/", 400)
        begin = time.monotonic()
        run.wait_for(rf"ROUND {beyond}/", 400)
        return node.proxy.between(begin, time.monotonic())


def _shapes_of_the_digits() -> str:
    sys.path.insert(0, str(DIGITS))
    try:
        task = importlib.import_module("task").task
    finally:
        sys.path.remove(str(DIGITS))
    return " ".join(
        ",".join(map(str, array.shape)) for array in read_parameters(task.model()).values()
    )


def _family(pid: int) -> list[int]:
    """Return a process and all that it started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(name for child in children for name in _family(int(child)))]


def _resident(pid: int) -> int:
    """Return the resident memory of a process (kB); 0: it has just ended."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


#: Each gives some rows of the first table; faults.py has the last one.
PARTS: tuple[Callable[[bool], list[Row]], ...] = (idle, no_op, rounds)


def main() -> None:
    """Measure, print, write."""
    options = arguments(__doc__)
    rows = [row for part in PARTS for row in part(options.quick)]
    table = Table("figure", "unit", LEAN, STOCK, "share", "goal", title="What a node costs")
    for row in rows:
        share = f"{row.lean / row.stock:.2f}" if row.stock else "-"
        table.add_row(
            row.figure, row.unit, f"{row.lean:,.4g}", f"{row.stock:,.4g}", share, row.goal
        )
    Console(width=110).print(table)
    beside = fleet_front.rows(options.quick)
    fleet_front.show(beside, Console(width=110))
    done = faults.table(options.quick, Console(width=150))
    results = {"rows": rows, "front": beside}
    finish(
        options,
        {name: [asdict(row) for row in found] for name, found in results.items()}
        | {"faults": done},
    )
    faults.end(done)


if __name__ == "__main__":
    main()
