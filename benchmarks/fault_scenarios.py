"""Faults done to real processes on loopback; each function says what it saw. Tests look at it too.

Rounds are of simulations/digits with LiteRT, two clients unless said otherwise, and error feedback,
so that a device has a residual to lose.
"""

from __future__ import annotations

import itertools
import os
import re
import signal
import textwrap
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from machines import Machines, Process, children_of, program_of, until
from tcp_proxy import TcpProxy

from frugalfl.blocks import Layout
from frugalfl.codec import encode_frame, parse_codec
from frugalfl.errors import FrameError
from frugalfl_client.held import Held
from frugalfl_client.store import Store
from frugalfl_server.aggregate import Accumulator
from frugalfl_server.apps import read_settings
from frugalfl_server.records import RoundRecord
from frugalfl_server.run_directory import RunDirectory
from frugalfl_server.serve.submitted import make_app

ROOT = Path(__file__).parent
DIGITS, ECHO = ROOT.parent / "simulations" / "digits", ROOT / "echo"
LEAN, STOCK = "frugalfl node", "flower-supernode"
#: How each of them says that it is connected; the line ends with its number.
_CONNECTED = {LEAN: "connected (again after .*)?as node", STOCK: "SuperNode ID"}
#: ``local-epochs`` makes a round last some seconds, so that a fault falls into it.
SETTINGS: dict[str, float | str] = {
    "clients": 2, "clients-per-round": 2, "local-epochs": 40, "prune": 0.0, "evaluate-rows": 0,
    "trainer": "litert", "refresh": "full", "initial": "exact",
    "uplink": "feedback | topk(5%) | sign | golomb",
}  # fmt: skip
#: Longest wait for a round, on a machine that has other things to do (s).
_PATIENCE_S = 300.0


def online(links: Machines, kind: str, number: int, of: int = 2, superlink: str | None = None):
    """Start a node and wait until it is connected; return it and its number."""
    begin = links.lean if kind == LEAN else links.stock
    process = begin(number, of, superlink=superlink)
    return process, process.wait_for(_CONNECTED[kind], 120).split()[-1]


def digits(links: Machines, **changes: float | str) -> Process:
    """Start a run of the digits on a SuperLink that is there."""
    settings = SETTINGS | {key.replace("_", "-"): value for key, value in changes.items()}
    chosen = read_settings(DIGITS, [f"{key}={value!r}" for key, value in settings.items()])
    return links.run(make_app(DIGITS, chosen, links.folder / "app"))


def held_by(links: Machines, number: int) -> Held:
    """Return what a device has on its disk of the one run that it took part in."""
    store = Store(links.folder / f"device-{number}" / "store.sqlite")
    try:
        (row,) = store._db.execute("SELECT run FROM runs")
        return store.load(row[0])
    finally:
        store.close()


def rounds_of(links: Machines) -> list[RoundRecord]:
    """Return the rounds of the newest run, once it is over."""
    return RunDirectory.open(links.folder / "runs" / "latest").rounds


def until_at_work(node: Process, kind: str, number: int) -> None:
    """Wait until a node works on a round, all rounds before being over."""
    if kind == LEAN:
        node.wait_for(f"round {number}: train begins", _PATIENCE_S)
        return
    until(lambda: not _client_apps(node), _PATIENCE_S)
    until(lambda: _client_apps(node), _PATIENCE_S)


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
    run.wait_for("train +1/3", _PATIENCE_S)
    first = proxy.between(began, time.monotonic()).down
    until_at_work(victim, kind, 2)
    killed = time.monotonic()
    victim.kill()
    before = held_by(links, 0)
    run.wait_for("train +2/3", _PATIENCE_S)
    closed_s = time.monotonic() - killed
    back = time.monotonic()
    _, again = online(links, kind, 0, superlink=proxy.address)
    after = held_by(links, 0)
    run.wait_for("train +3/3", _PATIENCE_S)
    following = proxy.between(back, time.monotonic()).down
    run.wait(_PATIENCE_S)
    updates = [record.updates for record in rounds_of(links)]
    return Killed(
        closed_s, deadline_s, updates, name == again, before, after, first, following
    )  # fmt: skip


@dataclass(frozen=True)
class Cut:
    """What became of rounds whose line was cut; ``updates`` by round."""

    seconds: float
    updates: list[int]
    late: list[int]
    said: str


def cut_line(links: Machines, kind: str, seconds: float) -> Cut:
    """Cut a node's line in round 2, while it trains; mend it after so many seconds."""
    links.superlink()
    proxy = TcpProxy(links.port)
    victim, _ = online(links, kind, 0, superlink=proxy.address)
    online(links, LEAN, 1)
    run = digits(links, rounds=3, quorum=0.5, round_deadline=2 * seconds + 60)
    run.wait_for("train +1/3", _PATIENCE_S)
    until_at_work(victim, kind, 2)
    proxy.cut()
    time.sleep(seconds)  # the fault itself
    proxy.mend()
    run.wait_for("train +3/3", _PATIENCE_S)
    run.wait(_PATIENCE_S)
    proxy.close()
    rounds = rounds_of(links)
    return Cut(seconds, [r.updates for r in rounds], [r.late for r in rounds], victim.said)


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


def stop_for_a_while(links: Machines, deadline_s: float, rounds: int = 9) -> Straggler:
    """Let one of three nodes stand still for longer than a round may take, then go on."""
    links.superlink()
    nodes = [online(links, LEAN, number, 3)[0] for number in range(3)]
    run = digits(
        links, rounds=rounds, clients=3, quorum=0.5, round_deadline=deadline_s, local_epochs=10
    )
    run.wait_for(f"train +2/{rounds}", _PATIENCE_S)
    slow = nodes[0]
    line = slow.wait_for("round ([3-9]|[0-9]{2}): train begins", _PATIENCE_S)
    slow.signal(signal.SIGSTOP)
    missed = int(re.search(r"round (\d+)", line)[1])
    run.wait_for(f"train +{missed + 1}/{rounds}", _PATIENCE_S)
    slow.signal(signal.SIGCONT)
    run.wait_for(f"train +{rounds}/{rounds}", _PATIENCE_S)
    run.wait(_PATIENCE_S)
    records = rounds_of(links)
    walls = [record.wall_s for record in records]
    late = sum(record.late for record in records)
    again = any(int(number) > missed for number in re.findall(r"round (\d+): trained", slow.said))
    return Straggler(
        deadline_s, walls[1 : missed - 1], walls[missed - 1], walls[missed:], late, slow.said,
        again,
    )  # fmt: skip


def stop_stock_for_a_while(links: Machines, timeout_s: float, rounds: int = 5) -> list[int]:
    """Do the same to one of two of Flower's nodes, in Flower's own rounds; return the answers."""
    links.superlink()
    nodes = [online(links, STOCK, number)[0] for number in range(2)]
    run = links.run(ECHO, nodes=2, rounds=rounds, work=timeout_s / 5, timeout=timeout_s)
    run.wait_for("echo 1:", _PATIENCE_S)
    nodes[0].signal_all(signal.SIGSTOP)
    run.wait_for("echo 2:", _PATIENCE_S)
    time.sleep(timeout_s / 2)  # it stands still for one and a half times the deadline
    nodes[0].signal_all(signal.SIGCONT)
    lines = [run.wait_for(f"echo {number}:", _PATIENCE_S) for number in range(1, rounds + 1)]
    return [int(re.search(r"(\d+) answers", line)[1]) for line in lines]


@dataclass(frozen=True)
class Served:
    """A run under ``frugalfl serve``: what it left, what was said, and how it ended.

    Attributes:
        still_s: Seconds from each fault to the end of the next round, by what was killed.
    """

    run: RunDirectory
    said: str
    code: int
    still_s: dict[str, float]


class Serving:
    """Two lean nodes, and one ``frugalfl serve`` after the other that they work for."""

    def __init__(self, links: Machines) -> None:
        """Start the nodes, which outlive every SuperLink."""
        self._links = links
        for number in range(2):
            links.lean(number)

    def undisturbed(self) -> Served:
        """Run to the end."""
        return self._end(self._begin(), "", {})

    def disturbed(self) -> Served:
        """Kill the ServerApp, then the SuperLink, then all of it and resume; a round after each."""
        serving, still_s = self._begin(), {}
        for number, program in enumerate(("flwr-serverapp", "flower-superlink"), 1):
            serving.wait_for(_line(number), _PATIENCE_S)
            killed = time.monotonic()
            os.kill(process_of(serving, program), signal.SIGKILL)
            serving.wait_for(_line(number + 1), _PATIENCE_S)
            still_s[program] = time.monotonic() - killed
        serving.kill()
        killed = time.monotonic()
        rest = self._links.serve("--resume", "latest")
        rest.wait_for(_line(4), _PATIENCE_S)
        still_s["frugalfl"] = time.monotonic() - killed
        return self._end(rest, serving.said, still_s)

    def _begin(self) -> Process:
        changes = [f"{key}={value!r}" for key, value in SETTINGS.items()]
        return self._links.serve(DIGITS, *changes, "rounds=4", "round-deadline=300")

    def _end(self, serving: Process, before: str, still_s: dict[str, float]) -> Served:
        code = serving.wait(_PATIENCE_S)
        run = RunDirectory.open(self._links.folder / "runs" / "latest")
        return Served(run, before + serving.said, code, still_s)


def _line(number: int) -> str:
    return f"train +{number}/4"


def same_bits(left: RunDirectory, right: RunDirectory) -> bool:
    """Say whether two runs have the same rounds and left the same model, bit for bit."""

    def facts(run: RunDirectory) -> list[tuple[float, ...]]:
        return [
            (r.round, r.updates, r.accuracy, r.uplink_bytes, r.downlink_bytes) for r in run.rounds
        ]

    models = [
        {name: tensor.tobytes() for name, tensor in run.load_checkpoint().items()}
        for run in (left, right)
    ]
    return facts(left) == facts(right) and models[0] == models[1]


def same_state(left: Held, right: Held) -> bool:
    """Say whether a device holds the same, bit for bit."""

    def flat(held: Held) -> object:
        return held.version, held.damage, _bits(held.model), _bits(held.residual)

    return flat(left) == flat(right)


def kill_stock_superlink(links: Machines) -> str:
    """Kill a SuperLink as Flower starts it by default, start it again, and say what is left."""
    link = links.superlink()
    nodes = [online(links, STOCK, number)[0] for number in range(2)]
    run = links.run(ECHO, nodes=2, rounds=100, work=0.5)
    run.wait_for("echo 1:", _PATIENCE_S)
    link.kill()
    links.superlink()
    time.sleep(20)  # in which nodes and run would come back
    ended = sum(not node.alive for node in nodes)
    known = '"run-id"' in links.flwr("ls", "test", "--format", "json").stdout
    return f"run {'known' if known else 'lost'}, {ended} of 2 nodes ended themselves"


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


@dataclass(frozen=True)
class Frames:
    """What became of damaged frames, as a line or a disk leaves them, and as a liar seals them.

    Attributes:
        damaged: With a wrong checksum.
        refused: How many of these were refused.
        same_model: Whether the model is what it is without them.
        sealed: Damaged, and then given a right checksum.
        sealed_refused: How many of these were refused; the others are valid, if strange, updates.
        finite: Whether all models are finite that these make.
    """

    damaged: int
    refused: int
    same_model: bool
    sealed: int
    sealed_refused: int
    finite: bool


def damage_frames(count: int, seed: int = 1) -> Frames:
    """Damage so many frames in each of both ways, for what adds up a server's updates."""
    rng = np.random.default_rng(seed)
    shapes = {"c.weight": (8, 1, 3, 3), "c.bias": (8,), "d.weight": (16, 72), "d.bias": (16,)}
    update = {n: rng.standard_t(3, shape).astype(np.float32) for n, shape in shapes.items()}
    layout = Layout.of(update)
    texts = (
        "raw",
        "zstd",
        "topk(5%) | sign | golomb",
        "stochastic(4 sigma) | range",
        "eden(1) | zstd",
    )
    whole = [
        encode_frame(parse_codec(text), layout, update, base=1, version=1, seed=9)[0]
        for text in texts
    ]
    alone, crowded = Accumulator(layout), Accumulator(layout)
    for total in (alone, crowded):
        total.add(whole[0], 1)
    refused = sealed_refused = 0
    finite = True
    for frame in itertools.islice(itertools.cycle(whole), count):
        data = _damaged(frame, rng)
        refused += _refused(crowded, data)
        liar = Accumulator(layout)
        if _refused(liar, data[:-4] + zlib.crc32(data[:-4]).to_bytes(4, "little")):
            sealed_refused += 1
        else:
            finite &= all(np.isfinite(tensor).all() for tensor in liar.finish(update).values())
    same = _bits(crowded.finish(update)) == _bits(alone.finish(update))
    return Frames(count, refused, same, count, sealed_refused, bool(finite))


def _refused(total: Accumulator, frame: bytes) -> bool:
    try:
        total.add(frame, 1)
    except FrameError:
        return True
    return False


def _damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Change, cut out or insert some bytes; never what it was."""
    frame = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        place = int(rng.integers(0, len(frame)))
        kind = rng.integers(0, 3)
        if kind == 0:
            frame[place] ^= int(rng.integers(1, 256))
        elif kind == 1 and len(frame) > 16:
            del frame[place : place + int(rng.integers(1, 9))]
        else:
            frame[place:place] = rng.bytes(int(rng.integers(1, 9)))
    return bytes(frame) if bytes(frame) != data else data + b"\0"


def process_of(parent: Process, program: str) -> int:
    """Return the number of a program that a process, or what it started, has started."""
    return until(
        lambda: next((pid for pid in children_of(parent.pid) if program in program_of(pid)), None)
    )


def _client_apps(node: Process) -> list[int]:
    return [pid for pid in children_of(node.pid) if "flwr-clientapp" in program_of(pid)]


def _bits(tree: object) -> object:
    if isinstance(tree, dict):
        return {key: _bits(value) for key, value in tree.items()}
    return tree.tobytes() if isinstance(tree, np.ndarray) else tree
