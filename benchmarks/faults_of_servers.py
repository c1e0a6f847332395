"""Deaths of what runs on the server; each function says what it saw. Tests look at it too."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass

from federations import DIGITS, ECHO, PATIENCE_S, SETTINGS, STOCK, bits, online, process_of
from machines import Machines, Process

from frugalfl_server.run.directory import RunDirectory


@dataclass(frozen=True)
class Served:
    """A run under ``frugalfl serve``: what it left, and what was said.

    Attributes:
        still_s: Seconds from each fault to the end of the next round, by what was killed.
    """

    run: RunDirectory
    said: str
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
        return self._end(begin(self._links), "", {})

    def disturbed(self) -> Served:
        """Kill the ServerApp, then the SuperLink, then all of it and resume; a round after each."""
        serving, still_s = begin(self._links), {}
        for number, program in enumerate(("flwr-serverapp", "flower-superlink"), 1):
            serving.wait_for(_line(number), PATIENCE_S)
            killed = time.monotonic()
            os.kill(process_of(serving, program), signal.SIGKILL)
            serving.wait_for(_line(number + 1), PATIENCE_S)
            still_s[program] = time.monotonic() - killed
        serving.kill()
        killed = time.monotonic()
        rest = self._links.serve("--resume", "latest")
        rest.wait_for(_line(4), PATIENCE_S)
        still_s["frugalfl"] = time.monotonic() - killed
        return self._end(rest, serving.said, still_s)

    def _end(self, serving: Process, before: str, still_s: dict[str, float]) -> Served:
        code = serving.wait(PATIENCE_S)
        if code:
            raise AssertionError(f"serve ended with {code}:\n{before + serving.said}")
        run = RunDirectory.open(self._links.folder / "runs" / "latest")
        return Served(run, before + serving.said, still_s)


def begin(links: Machines) -> Process:
    """Serve four rounds of the digits."""
    changes = [f"{key}={value!r}" for key, value in SETTINGS.items()]
    return links.serve(DIGITS, *changes, "rounds=4", "round-deadline=300")


def _line(number: int) -> str:
    return f"train +{number}/4"


def same_bits(left: RunDirectory, right: RunDirectory) -> bool:
    """Say whether two runs have the same rounds and left the same model, bit for bit."""

    def facts(run: RunDirectory) -> list[tuple[float, ...]]:
        return [
            (r.round, r.updates, r.accuracy, r.uplink_bytes, r.downlink_bytes) for r in run.rounds
        ]

    models = [bits(run.load_checkpoint()) for run in (left, right)]
    return facts(left) == facts(right) and models[0] == models[1]


def kill_stock_superlink(links: Machines) -> str:
    """Kill a SuperLink as Flower starts it by default, start it again, and say what is left."""
    link = links.superlink()
    nodes = [online(links, STOCK, number)[0] for number in range(2)]
    run = links.run(ECHO, nodes=2, rounds=100, work=0.5)
    run.wait_for("echo 1:", PATIENCE_S)
    link.kill()
    links.superlink()
    time.sleep(20)  # in which nodes and run would come back
    ended = sum(not node.alive for node in nodes)
    known = '"run-id"' in links.flwr("ls", "test", "--format", "json").stdout
    return f"run {'known' if known else 'lost'}, {ended} of 2 nodes ended themselves"
