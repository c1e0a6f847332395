"""Faults of devices and their lines; each function says what it saw. Tests look at it too."""

from __future__ import annotations

import os
import re
import signal
import textwrap
import time
from dataclasses import dataclass

from federations import (
    ECHO,
    LEAN,
    PATIENCE_S,
    STOCK,
    bits,
    digits,
    held_by,
    online,
    rounds_of,
    until_at_work,
)
from machines import Machines
from tcp_proxy import TcpProxy

from frugalfl_client.held import Held


@dataclass(frozen=True)
class Killed:
    """What became of a node that was killed in mid-training.

    Attributes:
        closed_s: Seconds from its death to the end of the round.
        deadline_s: Of a round.
        updates: That came, by round.
        same_node: It has the number that it had before.
        before: What its disk had when it was dead.
        after: The same, when it was back.
        first_down: Bytes that it received in its first round, all included.
        next_down: Bytes that it received from when it was back to the end of the next round.
    """

    closed_s: float
    deadline_s: float
    updates: list[int]
    same_node: bool
    before: Held
    after: Held
    first_down: int
    next_down: int

    @property
    def intact(self) -> bool:
        """Whether residual and cached blocks are there, as they were."""
        return bool(self.before.model and self.before.residual) and same_state(
            self.before, self.after
        )


def kill_node(links: Machines, kind: str, deadline_s: float) -> Killed:
    """Kill a node in round 2, and start it again once that round is over."""
    links.superlink()
    proxy = TcpProxy(links.port)
    victim, name = online(links, kind, 0, superlink=proxy.address)
    online(links, LEAN, 1)
    began = time.monotonic()
    run = digits(links, rounds=3, quorum=0.5, round_deadline=deadline_s)
    run.wait_for("train +1/3", PATIENCE_S)
    first = proxy.between(began, time.monotonic()).down
    until_at_work(victim, kind, 2)
    killed = time.monotonic()
    victim.kill()
    before = held_by(links, 0)
    run.wait_for("train +2/3", PATIENCE_S)
    closed_s = time.monotonic() - killed
    back = time.monotonic()
    _, again = online(links, kind, 0, superlink=proxy.address)
    after = held_by(links, 0)
    run.wait_for("train +3/3", PATIENCE_S)
    following = proxy.between(back, time.monotonic()).down
    run.wait(PATIENCE_S)
    updates = [record.updates for record in rounds_of(links)]
    return Killed(
        closed_s, deadline_s, updates, name == again, before, after, first, following
    )  # fmt: skip


@dataclass(frozen=True)
class Cut:
    """What became of rounds whose line was cut; ``updates`` by round.

    ``requests`` are the paths of what the node sent from the second round on.
    """

    seconds: float
    updates: list[int]
    late: list[int]
    said: str
    requests: set[str]


def cut_line(links: Machines, kind: str, seconds: float) -> Cut:
    """Cut a node's line in round 2, while it trains; mend it after so many seconds."""
    links.superlink()
    proxy = TcpProxy(links.port)
    victim, _ = online(links, kind, 0, superlink=proxy.address)
    online(links, LEAN, 1)
    run = digits(links, rounds=3, quorum=0.5, round_deadline=2 * seconds + 60)
    run.wait_for("train +1/3", PATIENCE_S)
    until_at_work(victim, kind, 2)
    begun = time.monotonic()
    proxy.cut()
    time.sleep(seconds)  # the fault itself
    proxy.mend()
    run.wait_for("train +3/3", PATIENCE_S)
    run.wait(PATIENCE_S)
    requests = {one.path for one in proxy.exchanges(begun, time.monotonic())}
    proxy.close()
    rounds = rounds_of(links)
    updates, late = [r.updates for r in rounds], [r.late for r in rounds]
    return Cut(seconds, updates, late, victim.said, requests)


@dataclass(frozen=True)
class Straggler:
    """Seconds of the rounds before, of the one that it missed, and after; and what it said."""

    deadline_s: float
    before: list[float]
    missed_s: float
    after: list[float]
    late: int
    said: str
    asked_again: bool


#: Rounds in which nodes come to a run: others wait for them, and nobody knows how long rounds are.
_FIRST_ROUNDS = 7


def stop_for_a_while(links: Machines, deadline_s: float, rounds: int = 16) -> Straggler:
    """Let one of three nodes stand still for longer than a round may take, then go on."""
    links.superlink()
    nodes = [online(links, LEAN, number, 3)[0] for number in range(3)]
    run = digits(
        links, rounds=rounds, clients=3, quorum=0.5, round_deadline=deadline_s, local_epochs=10
    )
    run.wait_for(f"train +{_FIRST_ROUNDS + 1}/{rounds}", PATIENCE_S)
    slow = nodes[0]
    line = slow.wait_for("round ([0-9]+): train begins", PATIENCE_S, after=len(slow.lines))
    slow.signal(signal.SIGSTOP)
    missed = int(re.search(r"round (\d+)", line)[1])
    run.wait_for(f"train +{missed + 1}/{rounds}", PATIENCE_S)
    slow.signal(signal.SIGCONT)
    run.wait_for(f"train +{rounds}/{rounds}", PATIENCE_S)
    run.wait(PATIENCE_S)
    records = rounds_of(links)
    walls = [record.wall_s for record in records]
    late = sum(record.late for record in records)
    again = any(int(number) > missed for number in re.findall(r"round (\d+): trained", slow.said))
    return Straggler(
        deadline_s, walls[_FIRST_ROUNDS : missed - 1], walls[missed - 1], walls[missed:], late,
        slow.said, again,
    )  # fmt: skip


def stop_stock_for_a_while(links: Machines, timeout_s: float, rounds: int = 5) -> list[int]:
    """Do the same to one of two of Flower's nodes, in Flower's own rounds; return the answers."""
    links.superlink()
    nodes = [online(links, STOCK, number)[0] for number in range(2)]
    run = links.run(ECHO, nodes=2, rounds=rounds, work=timeout_s / 5, timeout=timeout_s)
    run.wait_for("echo 1:", PATIENCE_S)
    nodes[0].signal_all(signal.SIGSTOP)
    run.wait_for("echo 2:", PATIENCE_S)
    time.sleep(timeout_s / 2)  # it stands still for one and a half times the deadline
    nodes[0].signal_all(signal.SIGCONT)
    lines = [run.wait_for(f"echo {number}:", PATIENCE_S) for number in range(1, rounds + 1)]
    return [int(re.search(r"(\d+) answers", line)[1]) for line in lines]


def wrong_clock(links: Machines, kind: str) -> str:
    """Return what a node says whose clock is 10 minutes slow; ``links`` has TLS."""
    links.superlink()
    (links.folder / "clock").mkdir()
    (links.folder / "clock" / "sitecustomize.py").write_text(
        textwrap.dedent("""
        import datetime

        class Late(datetime.datetime):
            @classmethod
            def now(cls, tz=None):
                return super().now(tz) - datetime.timedelta(minutes=10)

        datetime.datetime = Late
        """)
    )
    path = os.pathsep.join([str(links.folder / "clock"), os.environ.get("PYTHONPATH", "")])
    begin = links.lean if kind == LEAN else links.stock
    node = begin(0, 2, links.register("late"), PYTHONPATH=path)
    said = "clock is" if kind == LEAN else "attempt failed|ERROR"
    line = re.sub("\x1b[^m]*m", "", node.wait_for(said))
    return line.strip()


def fill_disk(links: Machines) -> tuple[str, bool]:
    """Let a node's disk be full; return how its server hears of it, and whether the node lives."""
    links.superlink()
    node = links.lean(0, largest=65536)
    node.wait_for("connected as node")
    run = links.run(ECHO, nodes=1, rounds=2, fill=100_000)
    line = run.wait_for("echo 2: .* 1 answers, errors .*", 60)
    return line.partition("errors ")[2].strip(), node.alive


def same_state(left: Held, right: Held) -> bool:
    """Say whether a device holds the same, bit for bit."""

    def flat(held: Held) -> object:
        return held.version, held.damage, bits(held.model), bits(held.residual)

    return flat(left) == flat(right)
