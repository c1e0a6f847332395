"""Small federations of real processes on loopback, to which faults are done.

Rounds are of simulations/digits with LiteRT, two clients unless said otherwise, and error feedback,
so that a device has a residual to lose.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from machines import Machines, Process, children_of, program_of, until

from frugalfl_client.held import Held
from frugalfl_client.store import Store
from frugalfl_server.run.directory import RunDirectory
from frugalfl_server.run.pack_app import pack
from frugalfl_server.run.records import RoundRecord

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
PATIENCE_S = 300.0


def online(links: Machines, kind: str, number: int, of: int = 2, superlink: str | None = None):
    """Start a node and wait until it is connected; return it and its number."""
    begin = links.lean if kind == LEAN else links.stock
    process = begin(number, of, superlink=superlink)
    return process, process.wait_for(_CONNECTED[kind], 120).split()[-1]


def digits(links: Machines, **changes: float | str) -> Process:
    """Start a run of the digits on a SuperLink that is there."""
    settings = SETTINGS | {key.replace("_", "-"): value for key, value in changes.items()}
    app = pack(DIGITS, links.folder / "packed" / "app").folder
    return links.run(app, **{key: repr(value) for key, value in settings.items()})


def held_by(links: Machines, number: int) -> Held:
    """Return what a device has on its disk of the one run that it took part in."""
    store = Store(links.folder / f"device-{number}" / "store.sqlite")
    try:
        (run,) = store.runs()
        return store.load(run)
    finally:
        store.close()


def rounds_of(links: Machines) -> list[RoundRecord]:
    """Return the rounds of the newest run, once it is over."""
    return RunDirectory.open(links.folder / "runs" / "latest").rounds


def until_at_work(node: Process, kind: str, number: int) -> None:
    """Wait until a node works on a round."""
    if kind == LEAN:
        node.wait_for(f"round {number}: train begins", PATIENCE_S)
        return
    node.wait_for(rf"ROUND {number}\]", PATIENCE_S)  # it has the message, and starts a process
    until(lambda: _client_apps(node), PATIENCE_S)


def process_of(parent: Process, program: str) -> int:
    """Return the number of a program that a process, or what it started, has started."""
    return until(
        lambda: next((pid for pid in children_of(parent.pid) if program in program_of(pid)), None)
    )


def bits(tree: object) -> object:
    """Return a tree of arrays with their bytes in their place, to be compared."""
    if isinstance(tree, dict):
        return {key: bits(value) for key, value in tree.items()}
    return tree.tobytes() if isinstance(tree, np.ndarray) else tree


def _client_apps(node: Process) -> list[int]:
    return [pid for pid in children_of(node.pid) if "flwr-clientapp" in program_of(pid)]
