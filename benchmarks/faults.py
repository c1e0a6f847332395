"""What real federations suffer: each fault done to real processes, and what came of it.

    python benchmarks/faults.py [--quick] [--json FILE]

`benchmarks/fleet.py` prints the same table. Beside ours, where it can be put through the same
thing, Flower's own: `flower-supernode` running the same app, or for faults of the server Flower's
SuperLink as `flower-superlink` starts it by default. Every cell is what was observed in this run.
--quick: shorter deadlines and cuts, fewer mutations.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from subprocess import TimeoutExpired

import faults_of_frames
import faults_of_nodes
import faults_of_servers
from common import arguments, finish
from federations import LEAN, STOCK
from machines import Machines
from rich.console import Console
from rich.table import Table

from frugalfl.errors import FrugalFLError

#: What is said of faults that came to another end than they should.
FAILED = "FAILED; see above"


@dataclass(frozen=True)
class Fault:
    """A row of the table."""

    fault: str
    goal: str
    ours: str
    flower: str = "-"


@contextmanager
def machines(tls: bool = False, database: bool = False) -> Iterator[Machines]:
    """Machines of which nothing runs yet; after a failure what they left stays."""
    folder = Path(tempfile.mkdtemp())
    started = Machines(folder, tls=tls, database=database)
    try:
        yield started
    except BaseException:
        print(f"what is left of it: {folder}", file=sys.stderr, flush=True)
        started.stop()
        raise
    started.stop()
    shutil.rmtree(folder, ignore_errors=True)


def node_killed(quick: bool) -> Iterator[Fault]:
    """A node is killed in mid-training."""
    seen = {}
    for kind in (LEAN, STOCK):
        with machines() as links:
            seen[kind] = faults_of_nodes.kill_node(links, kind, 20.0 if quick else 40.0)

    def told(kind: str, of: Callable[[faults_of_nodes.Killed], str]) -> str:
        return of(seen[kind])

    for fault, goal, of in (
        (
            "node, kill -9 in mid-training: its round",
            "closes within its deadline",
            lambda k: (
                f"closed after {k.closed_s:.1f} of {k.deadline_s:.0f} s, "
                f"{k.updates[1]} of 2 updates"
            ),
        ),
        (
            "the same: the node, back",
            "same node; residual and blocks intact",
            lambda k: (
                f"{'same' if k.same_node else 'another'} node; residual and blocks "
                f"{'intact' if k.intact else 'lost'}"
            ),
        ),
        (
            "the same: the round after",
            "has its update, no whole model is sent",
            lambda k: (
                f"{k.updates[2]} of 2 updates; {k.next_down:,} B down to it "
                f"(first round {k.first_down:,})"
            ),
        ),
    ):
        yield Fault(fault, goal, told(LEAN, of), told(STOCK, of))


def server_killed(quick: bool) -> Iterator[Fault]:
    """The ServerApp, the SuperLink and the whole server are killed."""
    with machines() as links:
        serving = faults_of_servers.Serving(links)
        whole, broken = serving.undisturbed(), serving.disturbed()
        same = faults_of_servers.same_bits(whole.run, broken.run)
    with machines() as links:
        stock = faults_of_servers.kill_stock_superlink(links)
    for program, fault, flower in (
        ("flwr-serverapp", "ServerApp, kill -9 under frugalfl serve", "-"),
        ("flower-superlink", "SuperLink, kill -9 under frugalfl serve", stock),
        ("frugalfl", "the whole server, kill -9, then --resume", "-"),
    ):
        took = f"next round after {broken.still_s[program]:.1f} s"
        yield Fault(
            fault,
            "run goes on to the same bits",
            f"{took}; {'same' if same else 'other'} bits",
            flower,
        )


def straggler(quick: bool) -> Iterator[Fault]:
    """A node stands still for longer than a round may take."""
    deadline_s = 15.0 if quick else 30.0
    with machines() as links:
        seen = faults_of_nodes.stop_for_a_while(links, deadline_s)
    with machines() as links:
        answers = faults_of_nodes.stop_stock_for_a_while(links, 25.0)
    yield Fault(
        f"straggler, asleep for longer than a round's {deadline_s:.0f} s (Flower 25 s)",
        "rounds after it as before",
        f"its round {seen.missed_s:.1f} s; before at most {max(seen.before):.1f} s, after "
        f"{max(seen.after):.1f} s",
        f"answers by round, asleep in the second: {', '.join(map(str, answers))} of 2",
    )


def line_cut(quick: bool) -> Iterator[Fault]:
    """A node's line is cut while it trains."""
    seconds = 10.0 if quick else 30.0
    seen = {}
    for kind in (LEAN, STOCK):
        with machines() as links:
            seen[kind] = faults_of_nodes.cut_line(links, kind, seconds)

    def told(cut: faults_of_nodes.Cut) -> str:
        return f"{cut.updates[1]} of 2 updates in that round, {cut.updates[2]} of 2 in the next"

    yield Fault(
        f"line cut for {seconds:.0f} s in mid-training", "the answer held up is used",
        told(seen[LEAN]), told(seen[STOCK]),
    )  # fmt: skip


def clock_wrong(quick: bool) -> Iterator[Fault]:
    """A device's clock is 10 minutes slow."""
    said = {}
    for kind in (LEAN, STOCK):
        with machines(tls=True) as links:
            said[kind] = faults_of_nodes.wrong_clock(links, kind)
    yield Fault("clock 10 min slow", "the message says so", said[LEAN], said[STOCK])


def disk_full(quick: bool) -> Iterator[Fault]:
    """A device's disk takes no more."""
    with machines() as links:
        error, alive = faults_of_nodes.fill_disk(links)
    yield Fault(
        "full disk on the device", "its server is told; the node lives",
        f"{error}; the node {'lives' if alive else 'died'}",
    )  # fmt: skip


def frames_damaged(quick: bool) -> Iterator[Fault]:
    """Frames arrive damaged, or are made up."""
    seen = faults_of_frames.damage_frames(2_000 if quick else 10_000)
    yield Fault(
        f"{seen.damaged:,} damaged frames", "none reaches the model",
        f"{seen.refused:,} refused; model {'the same' if seen.same_model else 'changed'}",
    )  # fmt: skip
    yield Fault(
        f"{seen.sealed:,} damaged frames with a right checksum", "none crashes a process",
        f"{seen.sealed_refused:,} refused; the others are updates that can be read, all "
        f"{'finite' if seen.finite else 'NOT finite'}",
    )  # fmt: skip


PARTS = (
    node_killed, server_killed, straggler, line_cut, clock_wrong, disk_full, frames_damaged
)  # fmt: skip


def table(quick: bool, console: Console) -> list[dict[str, str]]:
    """Do all faults and print what came of them, or that one failed; return the rows."""
    rows = []
    for part in PARTS:
        print(f"{time.strftime('%X')} {part.__doc__}", file=sys.stderr, flush=True)
        try:
            rows += part(quick)
        except (AssertionError, FrugalFLError, TimeoutExpired) as error:
            print(error, file=sys.stderr, flush=True)
            rows.append(Fault(str(part.__doc__), "", FAILED))
    shown = Table("fault", "goal", "FrugalFL", "Flower's own", title="Faults", show_lines=True)
    for row in rows:
        shown.add_row(row.fault, row.goal, row.ours, row.flower)
    console.print(shown)
    return [asdict(row) for row in rows]


def end(rows: list[dict[str, str]]) -> None:
    """End this program, with an error if something could not be shown."""
    sys.exit(any(row["ours"] == FAILED for row in rows))


def main() -> None:
    """Do all faults, print, write."""
    options = arguments(__doc__)
    rows = table(options.quick, Console(width=150))
    finish(options, {"faults": rows})
    end(rows)


if __name__ == "__main__":
    main()
