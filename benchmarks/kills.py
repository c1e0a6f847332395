"""A federation in which everything is killed, again and again, at random moments.

One ``frugalfl serve``, three lean nodes, real processes. What is killed by hand (``serve``, a node)
is started again, as a service manager does; the rest has to come back by itself. Tests look at it.

    FRUGALFL_KILLS=300 FRUGALFL_SEED=1 python -m pytest -m slow tests/slow/test_kills.py -s
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from federations import DIGITS, PATIENCE_S
from machines import Machines, Process, children_of, program_of, until

from frugalfl_server.run.directory import RunDirectory

#: What is killed, how often next to the others, and by what its command line is known.
_TARGETS = {
    "node": (4, ""), "ServerApp": (2, "flwr-serverapp"), "SuperLink": (2, "flower-superlink"),
    "front": (2, "serve.front"), "SuperExec": (1, "serve.superexec"), "serve": (1, ""),
}  # fmt: skip
_NODES = 3
#: Of so many kills the next one comes before a round was finished, so that two come together.
_AT_ONCE = 0.25
#: Latest moment of a kill after the round before it (s): as long as a few rounds take.
_SPREAD_S = 4.0
_SETTINGS = (
    "clients=3", "clients-per-round=3", "local-epochs=1", "prune=0.0", "evaluate-rows=0",
    "refresh=full", "initial=exact", "round-deadline=240", "quorum=3",
    "uplink=feedback | topk(5%) | sign | golomb",
)  # fmt: skip
_LAYERS = "nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10)"


def small_digits(folder: Path) -> Path:
    """Return an app in a folder: the digits, with a model of 1,210 parameters."""
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text((DIGITS / "pyproject.toml").read_text())
    task = (DIGITS / "task.py").read_text()
    begin, end = task.index("    return nn.Sequential("), task.index("task = Task(")
    small = f"    return nn.Sequential({_LAYERS})\n\n\n"
    (folder / "task.py").write_text(task[:begin] + small + task[end:])
    return folder


@dataclass
class Killing:
    """The federation, and what was done to it.

    Attributes:
        links: Where it runs.
        rounds: Of each run.
        killed: How often each was killed.
        gave_up: What ``serve`` said last where it gave up by itself, and was started again.
        said: What every ``serve`` said.
    """

    links: Machines
    rounds: int
    killed: Counter[str] = field(default_factory=Counter)
    gave_up: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start the nodes, which outlive every run."""
        self.app = small_digits(self.links.folder / "app")
        self.nodes = [self._node(number) for number in range(_NODES)]

    def undisturbed(self) -> RunDirectory:
        """Run to the end."""
        serving = self._serve()
        if serving.wait(PATIENCE_S + 20.0 * self.rounds):
            raise AssertionError(serving.said)
        return RunDirectory.open(self._latest)

    def disturbed(self, kills: int, seed: int) -> RunDirectory:
        """Kill something so many times, a round or nothing after each; then run to the end."""
        rng = random.Random(seed)
        before = self._latest.resolve()
        serving = self._serve()
        until(lambda: self._latest.resolve() != before and self._finished() > 0, 600)
        while self.killed.total() < kills and self._finished() < self.rounds:
            done = self._finished()
            time.sleep(rng.uniform(0, _SPREAD_S))
            serving = self._kill(rng, serving)
            while rng.random() >= _AT_ONCE and self._finished() == done:
                serving = self._wait_for_round(serving, done)
        while serving.wait(PATIENCE_S + 20.0 * self.rounds):
            serving = self._again(serving)
        self.said.append(serving.said)
        return RunDirectory.open(self._latest)

    @property
    def _latest(self) -> Path:
        return self.links.folder / "runs" / "latest"

    def _finished(self) -> int:
        """Return the number of the last finished round, as a person reads it."""
        log = self._latest / "progress.log"
        found = re.findall(r"train +(\d+)/", log.read_text()) if log.exists() else []
        return max(map(int, found), default=0)

    def _node(self, number: int) -> Process:
        return self.links.lean(number, _NODES, None, "--idle-poll", "0.5")

    def _serve(self) -> Process:
        return self.links.serve(self.app, *_SETTINGS, f"rounds={self.rounds}")

    def _again(self, serving: Process) -> Process:
        """Start ``serve`` again, which gave up."""
        self.gave_up.append(serving.lines[-1].strip() if serving.lines else "")
        self.said.append(serving.said)
        return self.links.serve("--resume", "latest")

    def _kill(self, rng: random.Random, serving: Process) -> Process:
        """Kill one that is there; return the ``serve`` that goes on."""
        started = {pid: program_of(pid) for pid in children_of(serving.pid)}
        there = {
            name: [pid for pid, words in started.items() if mark and mark in words]
            for name, (_, mark) in _TARGETS.items()
        }
        there["node"] = [node.pid for node in self.nodes]
        there["serve"] = [serving.pid]
        names = [name for name in _TARGETS if there[name]]
        name = rng.choices(names, [_TARGETS[one][0] for one in names])[0]
        victim = rng.choice(there[name])
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        self.killed[name] += 1
        if name == "node":
            number = next(n for n, node in enumerate(self.nodes) if node.pid == victim)
            self.nodes[number].wait()
            self.nodes[number] = self._node(number)
        if name != "serve":
            return serving
        serving.wait()
        self.said.append(serving.said)
        until(lambda: not any(program_of(pid) for pid in started), 120)
        return self.links.serve("--resume", "latest")

    def _wait_for_round(self, serving: Process, done: int) -> Process:
        """Wait until another round is finished; start again what gave up."""
        until(lambda: self._finished() > done or not serving.alive, 2 * PATIENCE_S)
        if serving.alive or self._finished() >= self.rounds:
            return serving
        return self._again(serving)
