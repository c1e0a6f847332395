"""What the front of ``frugalfl serve`` adds to a node's request: seconds, bytes, memory.

The same node, by the same code, asks a SuperLink with TLS and registered keys directly and through
the front, in turns; a TCP proxy on the node's side counts every byte of its connections.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from attacking.stranger import key_of
from machines import Machines, free_port
from rich.console import Console
from rich.table import Table
from tcp_proxy import TcpProxy

from frugalfl_client.node.channel import Address, Channel, trust
from frugalfl_client.node.flower import Fleet
from frugalfl_server.serve.front.limits import FrontLimits
from frugalfl_server.serve.front_process import FrontProcess
from frugalfl_server.serve.key_folder import read_public_key
from frugalfl_server.serve.lines import show_lines
from frugalfl_server.serve.place import Place
from frugalfl_server.serve.processes import Tls

_INTERVAL_S = 30.0


@dataclass(frozen=True)
class Beside:
    """One figure, with the front and without."""

    figure: str
    unit: str
    through: float
    direct: float


class Way:
    """A node's calls on one way, and what passed there."""

    def __init__(self, port: int, ca: Path, key: Path) -> None:
        self.proxy = TcpProxy(port)
        self.channel = Channel(Address.parse(self.proxy.address), trust(ca))
        self.fleet = Fleet(self.channel, key_of(key))

    def beat(self, node: int) -> tuple[float, int]:
        """Send a heartbeat; return its time (s) and its bytes both ways."""
        before, begin = self._total(), time.monotonic()
        assert self.fleet.heartbeat(node, _INTERVAL_S)
        seconds = time.monotonic() - begin
        return seconds, self._total() - before

    def _total(self) -> int:
        return sum(len(data) for line in self.proxy.lines for _, data in [*line.up, *line.down])


@contextmanager
def front(links: Machines, key: Path) -> Iterator[tuple[FrontProcess, int]]:
    """A front before a SuperLink, and its port."""
    port = free_port()
    place = Place("127.0.0.1", port, FrontLimits(), Tls.of(links.folder), None, "", links.folder)
    process = FrontProcess(place, links.port, links.folder / "front.log")
    process.admit(frozenset({read_public_key(Path(f"{key}.pub"))}))
    with show_lines(print), process:
        yield process, port


def rows(quick: bool) -> list[Beside]:
    """Measure heartbeats on a connection that is kept, and on one that is resumed each time."""
    with tempfile.TemporaryDirectory() as folder:
        links = Machines(folder, tls=True)
        try:
            links.superlink()
            key = links.register("node0")
            with front(links, key) as (_, port):
                ways = [Way(one, links.folder / "ca.crt", key) for one in (port, links.port)]
                node = ways[0].fleet.activate(_INTERVAL_S)
                return [
                    row
                    for resumed in (False, True)
                    for row in _compare(ways, node, resumed, 20 if quick else 200)
                ]
        finally:
            links.stop()


def _compare(ways: list[Way], node: int, resumed: bool, count: int) -> list[Beside]:
    """Ask on both ways in turns, so that a neighbour's load falls on both alike."""
    seconds: list[list[float]] = [[], []]
    sizes: list[list[int]] = [[], []]
    for way in ways:
        way.beat(node)  # the first connection has a whole handshake
    for _ in range(count):
        for number, way in enumerate(ways):
            if resumed:
                way.channel.close()
            took, size = way.beat(node)
            seconds[number].append(took)
            sizes[number].append(size)
    how = "connection resumed" if resumed else "connection kept"
    time_ms = [1000 * statistics.median(one) for one in seconds]
    size_b = [statistics.median(one) for one in sizes]
    return [
        Beside(f"a heartbeat, {how}: median", "ms", *time_ms),
        Beside(f"a heartbeat, {how}: TLS bytes both ways", "B", *size_b),
    ]


def show(found: list[Beside], console: Console) -> None:
    """Print the table."""
    table = Table("figure", "unit", "through the front", "direct", title="What the front adds")
    for row in found:
        table.add_row(row.figure, row.unit, f"{row.through:,.4g}", f"{row.direct:,.4g}")
    console.print(table)
