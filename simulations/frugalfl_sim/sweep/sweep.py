"""A sweep from its first run to its page."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from frugalfl.errors import FrugalFLError, Interrupted
from frugalfl.metrics import number, words
from frugalfl.sizes import size_text
from frugalfl.text import MOST_OF_A_LINE, printable
from frugalfl_server.report.texts import duration
from frugalfl_sim.apps import quiet_flower
from frugalfl_sim.sweep.figures import Outcome, outcome_of
from frugalfl_sim.sweep.place import Place
from frugalfl_sim.sweep.points import Point
from frugalfl_sim.sweep.run_point import Work
from frugalfl_sim.sweep.workers import run_all


@dataclass(frozen=True)
class Sweep:
    """What is run.

    Attributes:
        app: The app's folder.
        place: Where runs go.
        points: All of them.
        jobs: Processes.
        target: Value of the measure to count rounds to; None: not counted.
    """

    app: Path
    place: Place
    points: Sequence[Point]
    jobs: int = 1
    target: float | None = None

    def run(self) -> list[Outcome]:
        """Run what is not finished, and return the outcomes of all, in the grid's order.

        A run that fails is an outcome too: others go on. The next time it is tried again.

        Raises:
            Interrupted: Ctrl-C came; the message says how to go on.
            RunError: Another process is at work on the sweep.
            UsageError: The app changed since the sweep was begun.
        """
        with self.place.claimed(), quiet_flower():
            if news := self.place.begin(self.app, self.points):
                _say(news)
            return self.outcomes()

    def outcomes(self) -> list[Outcome]:
        """Do the same within a place that is claimed already.

        Raises:
            Interrupted: Ctrl-C came; the message says how to go on.
        """
        found = {
            number: self._outcome(number, "")
            for number, point in enumerate(self.points)
            if self.place.finished(point)
        }
        todo = self._todo(set(found))
        tell = _teller(len(self.points), len(found))
        try:
            for place, reason in run_all(
                todo, self.app, self.points[0].settings.run.task, self.jobs
            ):
                found[place] = self._outcome(place, reason)
                tell(found[place])
        except (KeyboardInterrupt, Interrupted) as error:
            raise Interrupted(
                f"interrupted: {len(found)} of {len(self.points)} runs are finished in "
                f"{self.place.path}; the same command goes on from there"
            ) from error
        return [found[number] for number in range(len(self.points))]

    def _outcome(self, place: int, reason: str) -> Outcome:
        point = self.points[place]
        return outcome_of(point, self.place.run_of(point), reason, self.target)

    def _todo(self, done: set[int]) -> list[Work]:
        """Return what is left: the longest first if there are several processes to fill."""
        left = [number for number in range(len(self.points)) if number not in done]
        if self.jobs > 1:
            left.sort(key=lambda number: -self.points[number].cost)
        return [self._work(number) for number in left]

    def _work(self, number: int) -> Work:
        point = self.points[number]
        config = point.settings.as_config()
        begun = self.place.run_of(point)
        return Work(number, self.app, config, self.place.folder_of(point), begun)


def check_some_finished(outcomes: Sequence[Outcome]) -> None:
    """See that a sweep has something to show.

    Raises:
        FrugalFLError: No run of it finished; with the first reason.
    """
    if all(one.reason for one in outcomes):
        raise FrugalFLError(f"all {len(outcomes)} runs failed, the first: {outcomes[0].reason}")


def _teller(runs: int, there: int) -> Callable[[Outcome], None]:
    """Return what prints a line for each run that ends, with the rate and the time left."""
    began, done = time.monotonic(), 0

    def tell(outcome: Outcome) -> None:
        nonlocal done
        done += 1
        elapsed = time.monotonic() - began
        left = elapsed / done * (runs - there - done)
        _say(
            f"{there + done:>4}/{runs}  {outcome.point.label}  {_ended(outcome)}"
            f"  {60 * done / elapsed:.3g} runs/min  left {duration(left)}"
        )

    return tell


def _ended(outcome: Outcome) -> str:
    if outcome.reason:
        return f"failed: {outcome.reason}"
    sent = outcome.figures["bytes"]
    return (
        f"{words(outcome.measure)} {number(outcome.figures['value'])}"
        f"  {'–' if sent is None else size_text(sent)}"
    )


def _say(line: str) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(printable(line, MOST_OF_A_LINE), markup=False)
